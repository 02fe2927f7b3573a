// What a person is told in one sentence; any other error is a mistake of the program.
export class Fault extends Error {}
