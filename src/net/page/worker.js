// The service worker, as the page sees it. Only pages that came over HTTPS, or from this machine, have one.

import { isFramed } from './frame.js';

let registering = null;

/** Starts it, if it is not there. Browsers look for a newer one with each load of the page. */
export function startWorker() {
  if (isFramed || !navigator.serviceWorker) return;
  registering ??= navigator.serviceWorker.register('sw.js').catch(() => null);
}

/** The registration of the one that runs, if any. */
export async function worker() {
  const registration = await registering;
  return registration?.active && registration;
}
