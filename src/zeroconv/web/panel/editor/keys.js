// Keys that nothing has the focus for belong to the drawing that is open.
import { useEffect } from "../lib/html.js";

let open = null;

export function useKeys(act) {
  useEffect(() => {
    open = act;
    return () => (open = open === act ? null : open);
  });
}

// true when a drawing took the key
export function passToDrawing(event) {
  if (!open || event.target !== document.body) return false;
  open(event);
  return event.defaultPrevented;
}
