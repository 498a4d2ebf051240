// Where the time of one request went, as spans on one line. Milliseconds.
//
//     queue | refresh | connect | first event | ............. answer ............. | end
//

// The first four are sums over all attempts; what is left before the first event is the time of attempts that failed.

/** @returns {{name: string, from: number, length: number}[]} without those that are not known */
export function spans(timings) {
  const total = timings.duration_ms ?? 0;
  const found = [];
  let at = 0;
  for (const name of ["queue", "refresh", "connect", "first_event"]) {
    const told = timings[`${name}_ms`];
    if (told == null) continue;
    const length = Math.min(told, Math.max(0, total - at));
    found.push({ name, from: at, length });
    at += length;
  }
  const begun = timings.first_byte_ms == null ? total : Math.max(at, timings.first_byte_ms);
  if (begun > at) found.push({ name: "other", from: at, length: begun - at });
  if (total > begun) found.push({ name: "answer", from: begun, length: total - begun });
  return found;
}
