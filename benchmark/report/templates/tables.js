// Sorting by a heading, a filter by family, and sections that open where a link leads. The page says the same without.
const number = text => parseFloat((text.match(/[+-]?[\d,]*\.?\d+/) || ['-Infinity'])[0].replace(/,/g, ''));
for (const head of document.querySelectorAll('th[data-column]')) {
  const table = head.closest('table'), bodies = [...table.tBodies].filter(body => !body.matches('.group'));
  if (bodies.length < 2) continue;
  const button = document.createElement('button');
  button.append(...head.childNodes);
  head.append(button);
  button.onclick = () => {
    const isRising = head.ariaSort === 'descending' || (head.ariaSort !== 'ascending' && head.dataset.column === '0');
    const text = body => body.rows[0].cells[head.dataset.column].innerText.trim();
    const values = new Map(bodies.map(body => [body, number(text(body))]));
    const isText = head.dataset.column === '0' || [...values.values()].every(value => value === -Infinity);
    const order = (a, b) => isText ? text(a).localeCompare(text(b)) : values.get(a) - values.get(b) || 0;
    table.append(...bodies.sort((a, b) => isRising ? order(a, b) : order(b, a)));
    for (const other of table.querySelectorAll('th[aria-sort]')) other.removeAttribute('aria-sort');
    head.ariaSort = isRising ? 'ascending' : 'descending';
    table.classList.add('sorted');
  };
}
for (const filter of document.querySelectorAll('[data-filters]')) {
  const of = filter.dataset.filters, rows = [...document.querySelectorAll(`[data-${of}]`)];
  for (const value of ['', ...new Set(rows.map(row => row.dataset[of]).filter(Boolean))]) {
    const button = document.createElement('button');
    button.textContent = (value && rows.find(row => row.dataset[of] === value).dataset[`${of}Name`]) || value || 'all';
    button.ariaPressed = String(!value);
    button.onclick = () => {
      for (const row of rows) row.classList.toggle(`not-${of}`, Boolean(value) && row.dataset[of] !== value);
      for (const other of filter.children) other.ariaPressed = String(other === button);
    };
    filter.append(button);
  }
  filter.hidden = false;
}
const reveal = () => location.hash && document.getElementById(location.hash.slice(1))?.querySelector(':scope > details')?.setAttribute('open', '');
addEventListener('hashchange', reveal);
reveal();
