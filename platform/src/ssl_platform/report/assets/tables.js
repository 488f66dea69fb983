// Tables whose headings sort them: once ascending or descending, whichever puts the best first, then the other way.
const valueOf = (row, column) => {
  const cell = row.cells[column];
  const given = cell.dataset.value;
  if (given !== undefined) return Number(given);
  const text = cell.textContent.trim();
  return text === '' || text === '\u2013' ? null : text;
};

const compared = (a, b) => {
  if (a === null || b === null) return a === null ? (b === null ? 0 : 1) : -1; // what is not known comes last
  return typeof a === 'number' && typeof b === 'number' ? a - b : String(a).localeCompare(String(b), 'en', { numeric: true });
};

for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const headings = [...table.tHead.rows[0].cells];
  headings.forEach((heading, column) => {
    if (!heading.textContent.trim() || body.rows.length < 2) return;
    const button = document.createElement('button');
    button.type = 'button';
    button.className = 'sort';
    button.append(...heading.childNodes);
    heading.append(button);
    button.addEventListener('click', () => {
      const rows = [...body.rows];
      const numbers = rows.some((row) => typeof valueOf(row, column) === 'number');
      const before = heading.getAttribute('aria-sort');
      const upward = before ? before === 'descending' : !numbers;
      headings.forEach((other) => other.removeAttribute('aria-sort'));
      heading.setAttribute('aria-sort', upward ? 'ascending' : 'descending');
      rows.sort((x, y) => {
        const [a, b] = [valueOf(x, column), valueOf(y, column)];
        return a === null || b === null || upward ? compared(a, b) : compared(b, a);
      });
      body.append(...rows);
    });
  });
}
