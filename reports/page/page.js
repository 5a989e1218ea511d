(function () {
	'use strict';
	var runs = [].slice.call(document.querySelectorAll('details.run'));
	var text = document.getElementById('find'), only = document.getElementById('only'), shown = document.getElementById('shown');
	document.documentElement.className = 'js';

	/* A link to a run opens it. */
	function follow() {
		var at = document.getElementById(decodeURIComponent(location.hash.slice(1)));
		var run = at && at.closest('details.run');
		if (!run)
			return;
		run.hidden = false;
		run.open = true;
		run.scrollIntoView();
	}

	/* Words that must all occur in the heading of a run. */
	function filter() {
		var words = text.value.toLowerCase().split(/\s+/).filter(Boolean), n = 0;
		runs.forEach(function (run) {
			var heading = run.firstElementChild.textContent.toLowerCase();
			var match = words.every(function (w) { return heading.indexOf(w) >= 0; });
			run.hidden = !match || (only.checked && !run.hasAttribute('data-surprise'));
			n += !run.hidden;
		});
		shown.textContent = n + ' of ' + runs.length;
	}

	if (text) {
		text.addEventListener('input', filter);
		only.addEventListener('change', filter);
		filter();
	}
	window.addEventListener('hashchange', follow);
	window.addEventListener('beforeprint', function () {
		runs.forEach(function (run) { run.open = run.open || runs.length <= 30; });
	});
	follow();
})();
