// The inbox works without this file. With it: codes are copied by a button, and new mail appears by itself.
(function () {
  'use strict';

  Array.prototype.forEach.call(document.querySelectorAll('[data-copy]'), function (button) {
    if (!navigator.clipboard) { return; }
    button.hidden = false;
    var label = button.textContent;
    button.addEventListener('click', function () {
      navigator.clipboard.writeText(button.getAttribute('data-copy')).then(function () {
        button.textContent = 'Copied';
        window.setTimeout(function () { button.textContent = label; }, 1500);
      });
    });
  });

  var state = document.querySelector('[data-inbox-newest]');
  if (!state || !window.fetch) { return; }
  var query = '?wait_ms=25000';
  if (state.getAttribute('data-inbox-newest')) { query += '&since=' + encodeURIComponent(state.getAttribute('data-inbox-newest')); }
  if (state.getAttribute('data-inbox-to')) { query += '&to=' + encodeURIComponent(state.getAttribute('data-inbox-to')); }

  function wait() {
    fetch('/_emulator/v1/messages' + query, { credentials: 'same-origin', cache: 'no-store' })
      .then(function (response) { if (!response.ok) { throw new Error('refused'); } return response.json(); })
      .then(function (messages) {
        if (messages.length > 0) { window.location.reload(); } else { wait(); }
      })
      .catch(function () { window.setTimeout(wait, 5000); });
  }
  wait();
})();
