// Browsers run no modules of pages that are opened as files; this script they do run.
if (location.protocol === 'file:') {
  document.getElementById('status').textContent =
    'This page runs from a web address only, not as a file: call "python -m http.server" in its folder and open '
    + 'http://127.0.0.1:8000';
  document.getElementById('status').classList.add('fault');
}
