// The dashboard works without this file. With it: `/` goes to the search, times are local and relative, and buttons copy.
(function () {
  'use strict';

  function each(selector, act) {
    Array.prototype.forEach.call(document.querySelectorAll(selector), act);
  }

  document.addEventListener('keydown', function (event) {
    if (event.key !== '/' || event.ctrlKey || event.metaKey || event.altKey) { return; }
    if (/^(INPUT|TEXTAREA|SELECT)$/.test(event.target.tagName) || event.target.isContentEditable) { return; }
    var search = document.querySelector('main input[type=search]');
    if (!search) { return; }
    event.preventDefault();
    search.focus();
    search.select();
  });

  function showCopyButtons() {
    if (navigator.clipboard) { each('button[data-copy], button[data-copy-of]', function (button) { button.hidden = false; }); }
  }
  showCopyButtons();
  document.addEventListener('click', function (event) {
    var button = event.target.closest('button[data-copy], button[data-copy-of]');
    if (!button || button.hasAttribute('data-copying')) { return; }
    var source = document.getElementById(button.getAttribute('data-copy-of'));
    navigator.clipboard.writeText(source ? source.textContent : button.getAttribute('data-copy')).then(function () {
      var text = button.textContent;
      var name = button.getAttribute('aria-label');
      button.setAttribute('data-copying', '');
      button.textContent = button.getAttribute('data-copied') || 'Copied';
      button.removeAttribute('aria-label');
      window.setTimeout(function () {
        button.textContent = text;
        if (name) { button.setAttribute('aria-label', name); }
        button.removeAttribute('data-copying');
      }, 1500);
    });
  });

  // What was done is said long enough to be read, and never taken from under the pointer.
  each('.toast', function (toast) {
    var timer = window.setInterval(function () {
      if (toast.matches(':hover')) { return; }
      toast.remove();
      window.clearInterval(timer);
    }, 8000);
  });

  // Relative to the server's clock, which a test may have moved.
  var clock = document.querySelector('[data-now]');
  var ahead = clock ? Date.parse(clock.getAttribute('data-now')) - Date.now() : 0;
  var units = [['year', 31536000], ['month', 2592000], ['day', 86400], ['hour', 3600], ['minute', 60], ['second', 1]];
  var relative = window.Intl && Intl.RelativeTimeFormat && new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

  function tell(time) {
    var at = Date.parse(time.getAttribute('datetime'));
    if (isNaN(at) || !relative) { return; }
    var seconds = Math.round((at - Date.now() - ahead) / 1000);
    var unit = units.filter(function (u) { return Math.abs(seconds) >= u[1]; })[0] || units[5];
    time.textContent = relative.format(Math.trunc(seconds / unit[1]), unit[0]);
    time.title = new Date(at).toLocaleString() + ' · ' + time.getAttribute('datetime');
  }

  function tellAll() { each('time[data-relative]', tell); }
  tellAll();
  window.setInterval(tellAll, 30000);

  // What changes on the server while the page is looked at. Nothing is exchanged under a hand or a reader's cursor.
  var live = document.querySelector('[data-live]');
  if (live && window.fetch && window.DOMParser) {
    window.setInterval(function () {
      if (document.hidden || live.contains(document.activeElement) || String(window.getSelection())) { return; }
      fetch(location.href, { cache: 'no-store', credentials: 'same-origin' })
        .then(function (response) { return response.ok ? response.text() : ''; })
        .then(function (text) {
          var now = new DOMParser().parseFromString(text, 'text/html').querySelector('[data-live]');
          if (!now || now.innerHTML === live.getAttribute('data-as-sent')) { return; }
          live.setAttribute('data-as-sent', now.innerHTML);
          live.innerHTML = now.innerHTML;
          document.dispatchEvent(new Event('vestibule:changed'));
        })
        .catch(function () { /* The server may be on its way up again. */ });
    }, 2000);
  }

  // A pasted token is decoded at once.
  each('form[aria-label="Decode"] textarea', function (area) {
    area.addEventListener('paste', function () {
      window.setTimeout(function () { if (area.value.trim() && area.form.requestSubmit) { area.form.requestSubmit(); } });
    });
  });

  // Another script of ours exchanged parts of the page.
  document.addEventListener('vestibule:changed', function () {
    showCopyButtons();
    tellAll();
  });
})();
