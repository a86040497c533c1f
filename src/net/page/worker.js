// The service worker, as the page sees it. Only pages that came over HTTPS, or from this machine, have one.

import { isFramed } from './frame.js';

let registering = null;

/** Starts it, or looks for a newer one where it runs: the server may be another one after an outage. */
export async function startWorker() {
  if (isFramed || !navigator.serviceWorker) return;
  if (registering) return (await registering)?.update().catch(() => {});
  registering = navigator.serviceWorker.register('sw.js').catch(() => null);
}

/** The registration of the one that runs, if any. */
export async function worker() {
  const registration = await registering;
  return registration?.active && registration;
}
