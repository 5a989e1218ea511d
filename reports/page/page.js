(function () {
	'use strict';
	var $ = function (id) { return document.getElementById(id); };
	var all = function (where, what) { return [].slice.call(where.querySelectorAll(what)); };
	var form = $('filter'), box = document.querySelector('.box'), runs = all(document, 'details.run');
	document.documentElement.className = 'js';

	/* ---- pictures: packs are unpacked when one of theirs comes into sight ---- */
	var packs = all(document, 'script.pack'), unpacked = [];

	function unpack(n) {
		if (!unpacked[n]) {
			var bytes = Uint8Array.from(atob(packs[n].textContent), function (c) { return c.charCodeAt(0); });
			var stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream('deflate'));
			unpacked[n] = new Response(stream).text().then(function (text) { return text.split('\x1e'); });
		}
		return unpacked[n];
	}

	/* What the noscript holds is the picture as a file beside the page: it serves where packs cannot be read. */
	function show(figure) {
		var at = figure.dataset.pack.split('.'), inert = document.createElement('template'), img;
		figure.removeAttribute('data-pack');
		inert.innerHTML = figure.firstElementChild.textContent;
		img = inert.content.firstElementChild;
		function put() {
			figure.replaceChildren(img);
			return img.decode ? img.decode().catch(function () {}) : null;
		}
		if (!window.DecompressionStream || !packs[at[0]] || !packs[at[0]].textContent)
			return Promise.resolve(put());
		return unpack(at[0]).then(function (svg) {
			img.src = 'data:image/svg+xml;charset=utf-8,' + encodeURIComponent(svg[at[1]]);
		}).catch(function () {}).then(put);
	}

	function showAll(where) {
		return Promise.all(all(where, 'figure[data-pack]').map(show));
	}
	all(document, 'figure[data-pack]').forEach(function (figure) {
		if (!figure.closest('details.run:not([open])'))
			show(figure);
	});
	document.addEventListener('toggle', function (event) {
		if (event.target.matches('details.run[open]'))
			showAll(event.target);
	}, true);

	/* ---- links: what they lead to is opened, also when the filter hid it ---- */
	function follow() {
		var at = $(decodeURIComponent(location.hash.slice(1))), shut;
		if (!at)
			return;
		for (shut = at.closest('details'); shut; shut = shut.parentElement.closest('details')) {
			shut.hidden = false;
			shut.open = true;
		}
		at = at.closest('details') || at;
		at.scrollIntoView();
		if (at.matches('details'))
			at.firstElementChild.focus({preventScroll: true});
	}
	window.addEventListener('hashchange', follow);
	/* A link to where we are already changes no hash. */
	document.addEventListener('click', function (event) {
		var link = event.target.closest('a[href^="#"]');
		if (link && link.hash === location.hash)
			follow();
	});
	window.addEventListener('beforeprint', function () {
		if (runs.length <= 30)
			runs.forEach(function (run) { run.open = true; });
	});
	if (runs.length <= 30)
		showAll(document);

	/* ---- the matrix: what it holds, read once ---- */
	var heads = box ? all(box, 'thead th[data-g]') : [], body = box && box.querySelector('tbody'), kind = null;
	var rows = body ? all(body, 'tr').map(function (tr, i) {
		kind = tr.className === 'kind' ? tr : kind;
		return {tr: tr, at: i, kind: kind, name: tr.dataset.s, world: tr.dataset.w, cells: [].slice.call(tr.cells, 1),
			words: tr.dataset.s ? (tr.cells[0].textContent + ' ' + tr.dataset.w).toLowerCase() : ''};
	}) : [];
	var scenarios = rows.filter(function (row) { return row.name; });
	var links = [];
	scenarios.forEach(function (row) {
		row.cells.forEach(function (td, g) {
			var a = td.firstElementChild;
			if (a)
				links.push(a);
			td.marks = a ? {g: heads[g].dataset.g, v: a.textContent, surprise: a.classList.contains('surprise')} : null;
		});
	});
	/* The words of a run are those of its row too: faults are found by what they do. */
	var about = {};
	scenarios.forEach(function (row) { about[row.name + '\n' + row.world] = row.words; });

	function rank(mark) {
		return !mark ? 9 : mark.surprise ? 0 : 1 + 'FBUK'.indexOf(mark.v);
	}

	/* ---- filter ---- */
	function wanted() {
		return {words: $('find').value.toLowerCase().split(/\s+/).filter(Boolean), s: $('by-s').value, g: $('by-g').value, w: $('by-w').value,
			v: $('by-v').value};
	}
	function fits(want, s, g, w, v, surprise, words) {
		return (!want.s || want.s === s) && (!want.w || want.w === w) && (!want.v || (want.v === '!' ? surprise : want.v === v)) &&
			(!want.g || want.g === g || want.g === g.split(':')[0] + ':*') &&
			want.words.every(function (word) { return words.indexOf(word) >= 0; });
	}

	function filter() {
		var want = wanted(), used = heads.map(function () { return false; }), shown = 0, plain = !Object.values(want).join('');
		scenarios.forEach(function (row) {
			var any = false;
			row.cells.forEach(function (td, g) {
				var m = td.marks, match = m && fits(want, row.name, m.g, row.world, m.v, m.surprise, row.words + ' ' + m.g.toLowerCase());
				if (m)
					all(td, '*').forEach(function (x) { x.hidden = !match; });
				any = any || match;
				used[g] = used[g] || match;
			});
			row.tr.hidden = !any;
		});
		heads.forEach(function (th, g) {
			th.hidden = !used[g] && !plain;
			scenarios.forEach(function (row) { row.cells[g].hidden = th.hidden; });
		});
		rows.forEach(function (row) {
			if (!row.name)
				row.tr.hidden = $('sort').value !== '' || !scenarios.some(function (other) { return other.kind === row.tr && !other.tr.hidden; });
		});
		runs.forEach(function (run) {
			var d = run.dataset, words = (about[d.s + '\n' + d.w] || d.s) + ' ' + d.g.toLowerCase();
			run.hidden = !fits(want, d.s, d.g, d.w, d.v, 'surprise' in d, words);
			shown += !run.hidden;
		});
		['find', 'by-s', 'by-g', 'by-w', 'by-v', 'sort'].forEach(function (id) { $(id).classList.toggle('on', $(id).value !== ''); });
		$('shown').textContent = shown + ' of ' + runs.length + ' runs';
		rove();
	}

	/* ---- sort ---- */
	function sort(compare) {
		var list = rows.slice().sort(function (a, b) { return (compare ? compare(a, b) : 0) || a.at - b.at; });
		list.forEach(function (row) { body.appendChild(row.tr); });
		heads.forEach(function (th) { th.removeAttribute('aria-sort'); });
	}
	function worst(row) {
		return row.cells.reduce(function (least, td) { return Math.min(least, td.hidden ? 9 : rank(td.marks)); }, 9);
	}
	function sortChosen() {
		var how = $('sort').value, list = runs.map(function (run, i) {
			var d = run.dataset;
			return {run: run, at: i, name: d.s + ' ' + d.g, rank: rank({v: d.v, surprise: 'surprise' in d})};
		});
		var byName = function (a, b) { return (a.name || '') < (b.name || '') ? -1 : (a.name || '') > (b.name || '') ? 1 : 0; };
		sort(!how ? null : how === 'name' ? byName : function (a, b) { return worst(a) - worst(b); });
		list.sort(function (a, b) { return (how === 'name' ? byName(a, b) : how ? a.rank - b.rank : 0) || a.at - b.at; });
		list.forEach(function (x) { x.run.parentElement.appendChild(x.run); });
		filter();
	}
	heads.forEach(function (th, g) {
		th.firstElementChild.addEventListener('click', function () {
			var was = th.hasAttribute('aria-sort');
			sort(was ? null : function (a, b) { return rank((a.cells[g] || {}).marks) - rank((b.cells[g] || {}).marks); });
			if (!was)
				th.setAttribute('aria-sort', 'ascending');
			rows.forEach(function (row) {
				if (!row.name)
					row.tr.hidden = !was || row.tr.hidden;
			});
			if (was && form)
				filter();
		});
	});

	/* ---- keys ---- */
	/* One link of the matrix is in the order of tabs, the arrows lead to the others. */
	function rove(to) {
		var first = to || links.find(function (a) { return !a.tabIndex && a.offsetParent; }) || links.find(function (a) { return a.offsetParent; });
		links.forEach(function (a) { a.tabIndex = a === first ? 0 : -1; });
	}
	function step(from, down, across) {
		var td = from.closest('td'), tr = td.parentElement, at = td.cellIndex, a;
		while ((tr = down ? (down > 0 ? tr.nextElementSibling : tr.previousElementSibling) : tr)) {
			at += across;
			td = tr.cells[at];
			a = td && td.querySelector('a');
			if (a && a.offsetParent)
				return a;
			if (!down && !td)
				return null;
		}
		return null;
	}
	var arrows = {ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1]};

	function moveIn(event, list, at, by) {
		var seen = list.filter(function (x) { return x.offsetParent; }), to = seen[seen.indexOf(at) + by];
		if (to) {
			to.focus();
			event.preventDefault();
		}
	}
	document.addEventListener('keydown', function (event) {
		var at = event.target, arrow = arrows[event.key], to;
		if (event.ctrlKey || event.metaKey || event.altKey)
			return;
		if (event.key === '/' && form && !at.matches('input, select, textarea')) {
			$('find').focus();
			$('find').select();
			event.preventDefault();
		} else if (event.key === 'Escape' && form && at.closest('form, section')) {
			form.reset();
		} else if (arrow && at.matches('.box a')) {
			to = step(at, arrow[0], arrow[1]);
			if (to) {
				rove(to);
				to.focus();
			}
			event.preventDefault();
		} else if (arrow && arrow[0] && at.matches('details.run > summary')) {
			moveIn(event, all(document, 'details.run > summary'), at, arrow[0]);
		}
	});

	/* ---- begin ---- */
	function fill(select, values) {
		values.forEach(function (v) { select.appendChild(new Option(v[0], v[1])); });
		select.parentElement.hidden = values.length < 2;
	}
	function distinct(values) {
		return values.filter(function (v, i) { return values.indexOf(v) === i; });
	}
	if (form) {
		var names = heads.map(function (th) { return th.dataset.g; }), families = distinct(names.map(function (g) { return g.split(':')[0]; }));
		fill($('by-s'), distinct(scenarios.map(function (row) { return row.name; })).sort().map(function (s) { return [s, s]; }));
		fill($('by-w'), distinct(scenarios.map(function (row) { return row.world; })).map(function (w) { return [w, w]; }));
		fill($('by-g'), families.reduce(function (list, f) {
			var own = names.filter(function (g) { return g.split(':')[0] === f; });
			return list.concat(own.length > 1 ? [[f + ', all its variants', f + ':*']] : [], own.map(function (g) { return [g, g]; }));
		}, []));
		form.addEventListener('input', function (event) { event.target.id === 'sort' ? sortChosen() : filter(); });
		form.addEventListener('submit', function (event) { event.preventDefault(); });
		form.addEventListener('reset', function () { setTimeout(sortChosen); });
		if (Array.from(form.elements).some(function (e) { return e.value; }))
			sortChosen(); /* what the browser kept of an earlier visit */
		else
			filter();
	} else {
		rove();
	}
	follow();
})();
