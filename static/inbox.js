// The inbox works without this file. With it, new mail appears by itself.
(function () {
  'use strict';

  var state = document.querySelector('[data-inbox-newest]');
  if (!state || !window.fetch) { return; }
  var filter = document.getElementById('to');
  var query = '?wait_ms=25000';
  if (state.getAttribute('data-inbox-newest')) { query += '&since=' + encodeURIComponent(state.getAttribute('data-inbox-newest')); }
  if (state.getAttribute('data-inbox-to')) { query += '&to=' + encodeURIComponent(state.getAttribute('data-inbox-to')); }

  function show() {
    // Nobody loses a half-typed filter to a mail.
    if (filter && filter.value !== filter.defaultValue) { window.setTimeout(show, 1000); } else { window.location.reload(); }
  }

  function wait() {
    fetch(state.getAttribute('data-inbox-base') + '/_emulator/v1/messages' + query, { credentials: 'same-origin', cache: 'no-store' })
      .then(function (response) {
        // A filter that is no address matches nothing, however long one waits.
        if (response.status === 400) { return; }
        if (!response.ok) { throw new Error('refused'); }
        return response.json().then(function (answer) {
          // The pause keeps an answer that comes too early from becoming a busy loop.
          if (answer.messages.length > 0) { show(); } else { window.setTimeout(wait, 500); }
        });
      })
      .catch(function () { window.setTimeout(wait, 5000); });
  }
  wait();
})();
