// Sign-in works without this file. With it: typed and pasted codes lose what is no digit, the cell to be typed into is
// marked, "Resend" counts down, the waiting tab continues by itself, and a link opened where the sign-in started needs no click.
(function () {
  'use strict';

  function each(selector, act) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), act);
  }

  // A form of this page was submitted: its response decides where to go, not the status that is polled.
  var leaving = false;

  // What is true only where this file runs.
  each('[data-with-script]', function (element) { element.hidden = false; });
  each('[data-submitting]', function (text) { text.textContent = text.getAttribute('data-submitting'); });
  each('form[data-submit-now]', function (form) { form.submit(); });

  // A double click must not cost a second email or a second attempt; a lost response may be requested again.
  each('form[method=post]', function (form) {
    var sent_at_ms = 0;
    form.addEventListener('submit', function (event) {
      if (Date.now() - sent_at_ms < 3000) { event.preventDefault(); return; }
      sent_at_ms = Date.now();
      leaving = true;
    });
    window.addEventListener('pageshow', function () { sent_at_ms = 0; leaving = false; });
  });

  // Full-width and Arabic digits too: each of these rows begins at a multiple of 16.
  function asciiDigits(text) {
    return text.replace(/[\uff10-\uff19\u0660-\u0669\u06f0-\u06f9]/g, function (digit) {
      return String(digit.charCodeAt(0) & 15);
    });
  }

  each('[data-pin]', function (pin) {
    var input = pin.querySelector('input');
    var cells = pin.querySelectorAll('.boxes span');
    var length = input.maxLength;
    // What is typed or filled in may have spaces and dashes, which are taken out before anything is cut.
    input.maxLength = 64;
    var before = input.value.length;

    function markCell() {
      var at = document.activeElement === input ? Math.min(input.selectionStart, length - 1) : -1;
      Array.prototype.forEach.call(cells, function (cell, i) { cell.classList.toggle('active', i === at); });
    }

    function clean() {
      var digits = asciiDigits(input.value).replace(/\D/g, '').slice(0, length);
      if (digits !== input.value) { input.value = digits; }
      var isComplete = digits.length === length && before < length;
      before = digits.length;
      markCell();
      if (isComplete && pin.hasAttribute('data-submit-on-last-digit') && input.form.requestSubmit) {
        input.form.requestSubmit();
      }
    }

    // Before maxlength cuts: "Acme 24: your code is 123 456" must leave 123456.
    input.addEventListener('paste', function (event) {
      var text = asciiDigits((event.clipboardData || window.clipboardData).getData('text'));
      var whole = new RegExp('(?:^|\\D)(\\d(?:[\\s\\u2010-\\u2015\\u2212-]?\\d){' + (length - 1) + '})(?!\\d)').exec(text);
      var digits = (whole ? whole[1] : text).replace(/\D/g, '').slice(0, length);
      if (!digits) { return; }
      event.preventDefault();
      input.value = digits;
      clean();
    });
    // While an input method composes, the text is its own.
    input.addEventListener('input', function (event) { if (!event.isComposing) { clean(); } });
    input.addEventListener('compositionend', clean);
    ['focus', 'blur'].forEach(function (name) { input.addEventListener(name, markCell); });
    document.addEventListener('selectionchange', markCell);
    pin.classList.add('marked');
    markCell();
  });

  each('[data-resend-after-s]', function (button) {
    var ready = button.textContent;
    // From the clock, not by counting: browsers slow the timers of a hidden tab.
    var until_ms = Date.now() + Number(button.getAttribute('data-resend-after-s')) * 1000;
    (function tick() {
      var left = Math.ceil((until_ms - Date.now()) / 1000);
      if (!(left > 0)) {
        button.disabled = false;
        button.textContent = ready;
        return;
      }
      button.disabled = true;
      button.textContent = button.getAttribute('data-resend-text') + ' 0:' + (left < 10 ? '0' : '') + left;
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
      timer = window.setTimeout(poll, pause);
    }
    function poll() {
      // A hidden tab does not poll; it does so when it is shown again.
      if (document.hidden || leaving) { return; }
      fetch(url, { credentials: 'same-origin', cache: 'no-store' })
        .then(function (response) { return response.json(); })
        .then(function (status) {
          if (leaving) { return; }
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
