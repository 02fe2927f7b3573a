// Files of the page, from the place that it came from.

import { Fault } from './fault.js';

/**
 * @param {string} file relative to the page
 * @param {RequestInit} options
 * @returns {Promise<Response>}
 * @throws {Fault} there is no such file, or nobody answers
 */
export async function fetchedFile(file, options = {}) {
  let response;
  try {
    response = await fetch(file, options);
  } catch {
    throw new Fault(`${file} cannot be fetched: the server of this page does not answer.`);
  }
  if (!response.ok) {
    throw new Fault(
      `${file} is missing on the server of this page (${response.status}): build the page again (make web).`,
    );
  }
  return response;
}
