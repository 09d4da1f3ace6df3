// Work in small pieces, while nobody does anything.
const SOON = 2000; // milliseconds after which a piece is done all the same

const ask = (task) => (globalThis.requestIdleCallback ? requestIdleCallback(task, { timeout: SOON }) : setTimeout(() => task({ timeRemaining: () => 0 }), 50));

// runs what an iterator does, step by step, as long as there is time; answers how to end it
export function inPieces(steps) {
  let ended = false;
  const go = (deadline) => {
    do {
      if (ended || steps.next().done) return;
    } while (deadline.timeRemaining() > 2);
    ask(go);
  };
  ask(go);
  return () => (ended = true);
}
