// Sign-in works without this file. With it: pasted codes lose their spaces and words, "send it again" counts
// down, the waiting tab moves on by itself, and a link opened where it was asked for needs no click.
(function () {
  'use strict';

  function each(selector, act) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), act);
  }

  each('form[data-submit-now]', function (form) { form.submit(); });

  each('[data-pin] input', function (input) {
    // Before maxlength cuts: "Your code is 123 456" must leave 123456.
    input.addEventListener('paste', function (event) {
      var text = (event.clipboardData || window.clipboardData).getData('text');
      var digits = text.replace(/\D/g, '').slice(0, input.maxLength);
      if (!digits) { return; }
      event.preventDefault();
      input.value = digits;
    });
    input.addEventListener('input', function () {
      var digits = input.value.replace(/\D/g, '');
      if (digits !== input.value) { input.value = digits; }
    });
  });

  each('[data-resend-after-s]', function (button) {
    var left = Number(button.getAttribute('data-resend-after-s'));
    var ready = button.textContent;
    if (!(left > 0)) { return; }
    button.disabled = true;
    (function tick() {
      if (left <= 0) {
        button.disabled = false;
        button.textContent = ready;
        return;
      }
      button.textContent = button.getAttribute('data-resend-text') + ' ' + left + ' s';
      left -= 1;
      window.setTimeout(tick, 1000);
    })();
  });

  each('[data-status-url]', function (element) {
    if (!window.fetch) { return; }
    var url = element.getAttribute('data-status-url');
    var pause = 1000;
    var timer;
    function later() {
      window.clearTimeout(timer);
      timer = window.setTimeout(ask, pause);
    }
    function ask() {
      // A hidden tab does not ask; it does so when it is looked at again.
      if (document.hidden) { return; }
      fetch(url, { credentials: 'same-origin', cache: 'no-store' })
        .then(function (response) { return response.json(); })
        .then(function (status) {
          if (status.state === 'moved') {
            window.location.replace(url.replace(/\/status$/, ''));
          } else {
            pause = Math.min(pause * 1.1, 5000);
            later();
          }
        })
        .catch(function () {
          pause = Math.min(pause * 2, 15000);
          later();
        });
    }
    document.addEventListener('visibilitychange', function () {
      if (!document.hidden) { pause = 1000; later(); }
    });
    later();
  });
})();
