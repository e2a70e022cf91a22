// The inbox works without this file. With it: codes are copied by a button, and new mail appears by itself.
(function () {
  'use strict';

  function each(selector, act) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), act);
  }

  each('[data-copy]', function (button) {
    if (!navigator.clipboard) { return; }
    button.hidden = false;
    var text = button.textContent;
    var name = button.getAttribute('aria-label');
    button.addEventListener('click', function () {
      navigator.clipboard.writeText(button.getAttribute('data-copy')).then(function () {
        button.textContent = button.getAttribute('data-copied');
        button.removeAttribute('aria-label');
        window.setTimeout(function () {
          button.textContent = text;
          button.setAttribute('aria-label', name);
        }, 1500);
      });
    });
  });

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
