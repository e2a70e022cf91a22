// The inbox works without this file. With it, emails open beside the list, new ones appear by themselves, and keys do what the
// mouse does.
(function () {
  'use strict';

  var inbox = document.querySelector('[data-inbox]');
  if (!inbox || !window.fetch || !window.DOMParser) { return; }
  var base = inbox.getAttribute('data-base');
  var list = document.getElementById('inbox-list');
  var mail = document.getElementById('inbox-mail');
  var form = document.getElementById('inbox-search');
  var search = document.getElementById('q');

  var latest = 0;
  var typed;
  // Takes the parts of another page of the inbox into this one.
  function load(url, options) {
    // What comes by itself cancels nothing that somebody asked for.
    if (!options.isQuiet) {
      latest += 1;
      window.clearTimeout(typed);
    }
    var turn = latest;
    return fetch(url, { credentials: 'same-origin', cache: 'no-store' }).then(function (response) {
      return response.text().then(function (text) {
        var page = new DOMParser().parseFromString(text, 'text/html');
        var other = page.querySelector('[data-inbox]');
        // A newer click has its own answer; what is no inbox is a page to go to.
        if (turn !== latest) { return; }
        if (!other) {
          if (!options.isQuiet) { window.location.assign(url); }
          return;
        }
        var focused = document.activeElement && document.activeElement.id;
        list.innerHTML = page.getElementById('inbox-list').innerHTML;
        document.getElementById('inbox-count').textContent = page.getElementById('inbox-count').textContent;
        document.title = page.title;
        if (!options.isQuiet) {
          mail.innerHTML = page.getElementById('inbox-mail').innerHTML;
          inbox.className = other.className;
        }
        document.dispatchEvent(new Event('vestibule:changed'));
        if (options.history) { window.history[options.history](null, '', url); }
        var again = focused && document.getElementById(focused);
        if (again && again !== document.activeElement) { again.focus({ preventScroll: true }); }
        // On a phone the list is gone now: reading goes on at the email, or back in the list.
        if (options.opens && (!again || again.getClientRects().length === 0)) {
          var subject = document.getElementById('inbox-subject') || list.querySelector('[data-mail]');
          if (subject) { subject.focus(); window.scrollTo(0, 0); }
        }
      });
    }).catch(function () { if (!options.isQuiet) { window.location.assign(url); } });
  }

  inbox.addEventListener('click', function (event) {
    var link = event.target.closest('a[data-swap]');
    if (!link || event.button !== 0 || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey) { return; }
    event.preventDefault();
    link.focus();
    load(link.href, { history: 'pushState', opens: true });
  });
  window.addEventListener('popstate', function () { load(window.location.href, { opens: true }); });

  function find(how) {
    var query = new URLSearchParams(new FormData(form)).toString();
    load(form.action + '?' + query, { history: how });
  }
  form.addEventListener('submit', function (event) { event.preventDefault(); find('pushState'); });
  search.addEventListener('input', function () {
    window.clearTimeout(typed);
    typed = window.setTimeout(function () { find('replaceState'); }, 250);
  });

  function askToDelete() {
    var question = document.getElementById('inbox-delete');
    if (!question) { return; }
    question.open = true;
    question.querySelector('button').focus();
  }
  function move(step) {
    var mails = Array.prototype.slice.call(list.querySelectorAll('[data-mail]'));
    var at = mails.indexOf(document.activeElement);
    if (at < 0) { at = mails.findIndex(function (link) { return link.hasAttribute('aria-current'); }); }
    var next = mails[at < 0 ? 0 : Math.min(Math.max(at + step, 0), mails.length - 1)];
    if (next) { next.focus(); }
  }
  document.addEventListener('keydown', function (event) {
    if (event.defaultPrevented || event.ctrlKey || event.metaKey || event.altKey) { return; }
    var target = event.target;
    if (target.closest('input, textarea, select')) {
      if (event.key === 'Escape') { target.blur(); }
      return;
    }
    var isInList = target === document.body || list.contains(target);
    if (event.key === 'j' || (event.key === 'ArrowDown' && isInList)) {
      move(1);
    } else if (event.key === 'k' || (event.key === 'ArrowUp' && isInList)) {
      move(-1);
    } else if (event.key === 'Delete') {
      var chosen = target.closest('[data-mail]');
      if (chosen && !chosen.hasAttribute('aria-current')) {
        load(chosen.href, { history: 'pushState' }).then(askToDelete);
      } else {
        askToDelete();
      }
    } else if (event.key === 'Escape') {
      inbox.querySelectorAll('details[open]').forEach(function (details) { details.open = false; });
      return;
    } else {
      return;
    }
    event.preventDefault();
  });

  if (!window.EventSource) { return; }
  var cursor = inbox.getAttribute('data-cursor');
  var told;
  function listen() {
    var events = new EventSource(base + '/_emulator/v1/messages/events?since=' + encodeURIComponent(cursor));
    events.addEventListener('message', function (event) {
      cursor = event.lastEventId || cursor;
      var email = JSON.parse(event.data);
      document.getElementById('inbox-news').textContent = 'New email to ' + email.to + ': ' + email.subject;
      // Those that come together are shown together.
      window.clearTimeout(told);
      told = window.setTimeout(function () { load(window.location.href, { isQuiet: true }); }, 100);
    });
    events.addEventListener('error', function () {
      // The browser tries again by itself, except after a refusal.
      if (events.readyState === EventSource.CLOSED) { window.setTimeout(listen, 5000); }
    });
    window.addEventListener('pagehide', function () { events.close(); });
  }
  listen();
})();
