// In development the code page shows its code, read from the inbox: the page itself never holds it.
(function () {
  'use strict';
  var bar = document.querySelector('[data-dev-bar]');
  var input = document.querySelector('[data-pin] input');
  if (!bar || !input || !window.fetch) { return; }

  function press(name, act) {
    var button = bar.querySelector(name);
    button.addEventListener('click', function () { act(button); });
  }

  function show(code) {
    bar.querySelector('code').textContent = code;
    bar.classList.add('ready');
    press('[data-fill-in]', function () {
      input.value = code;
      input.dispatchEvent(new Event('input', { bubbles: true }));
      input.focus();
    });
    press('[data-copy-code]', function (button) {
      navigator.clipboard.writeText(code).then(function () { button.textContent = 'Copied'; });
    });
  }

  fetch(bar.getAttribute('data-dev-bar'), { credentials: 'same-origin', cache: 'no-store' })
    .then(function (response) { return response.ok ? response.json() : {}; })
    .then(function (message) { if (message.code) { show(message.code); } })
    .catch(function () { /* The inbox is a link away. */ });
})();
