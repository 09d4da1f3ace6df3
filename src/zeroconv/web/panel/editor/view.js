// Zoom and pan of a sheet: wheel, pinch, space or the middle button; `0` fits it again.
import { html, signal, useEffect, useMemo, useRef } from "../lib/html.js";
import { within } from "../lib/fields.js";

const LARGEST = 32;
const MARGIN = 24;

export class View {
  constructor(width, height) {
    Object.assign(this, { width, height, area: null, pointers: new Map(), pinch: null });
    this.place = signal({ scale: 1, x: 0, y: 0 });
    this.panning = signal(false); // while space is held, or with the hand
  }

  fit() {
    const box = this.area?.getBoundingClientRect();
    if (!box?.width) return;
    const scale = Math.min((box.width - 2 * MARGIN) / this.width, (box.height - 2 * MARGIN) / this.height);
    this.place.value = { scale, x: (box.width - this.width * scale) / 2, y: (box.height - this.height * scale) / 2 };
  }

  zoom(factor, at) {
    const { scale, x, y } = this.place.value;
    const box = this.area.getBoundingClientRect();
    const [cx, cy] = at ?? [box.width / 2, box.height / 2];
    const next = within(scale * factor, 0.05, LARGEST);
    this.place.value = { scale: next, x: cx - ((cx - x) * next) / scale, y: cy - ((cy - y) * next) / scale };
  }

  pan(dx, dy) {
    const { scale, x, y } = this.place.value;
    this.place.value = { scale, x: x + dx, y: y + dy };
  }

  // where an event lies in the sheet's pixels
  point(event) {
    const box = this.area.getBoundingClientRect();
    const { scale, x, y } = this.place.value;
    return [(event.clientX - box.left - x) / scale, (event.clientY - box.top - y) / scale];
  }

  inArea(event) {
    const box = this.area.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  }

  // pointer events come here first; true when they moved the view and are no stroke
  take(event) {
    if (event.type === "pointerdown") {
      this.pointers.set(event.pointerId, [event.clientX, event.clientY]);
      this.area.setPointerCapture(event.pointerId);
    }
    const before = this.pointers.get(event.pointerId);
    if (!before) return false;
    if (event.type === "pointerup" || event.type === "pointercancel") {
      this.pointers.delete(event.pointerId);
      const was = this.pinch;
      if (this.pointers.size === 0) this.pinch = this.drag = null;
      return Boolean(was) || this.endDrag();
    }
    const moved = [event.clientX, event.clientY];
    if (event.type === "pointerdown") {
      if (this.pointers.size === 2) this.pinch = true;
      else this.drag = this.panning.value || event.button === 1;
      return Boolean(this.pinch || this.drag);
    }
    if (!this.pinch && !this.drag) return false;
    if (this.pinch && this.pointers.size === 2) this.pinchTo(event.pointerId, moved);
    else this.pan(moved[0] - before[0], moved[1] - before[1]);
    this.pointers.set(event.pointerId, moved);
    return true;
  }

  endDrag() {
    const was = this.drag;
    this.drag = false;
    return Boolean(was);
  }

  pinchTo(id, moved) {
    const before = this.pointers.get(id);
    const other = [...this.pointers].find(([key]) => key !== id)[1];
    const far = (one) => Math.hypot(one[0] - other[0], one[1] - other[1]) || 1;
    const middle = (one) => [(one[0] + other[0]) / 2, (one[1] + other[1]) / 2];
    const [from, to] = [middle(before), middle(moved)];
    this.pan(to[0] - from[0], to[1] - from[1]);
    this.zoom(far(moved) / far(before), this.inArea({ clientX: to[0], clientY: to[1] }));
  }
}

export const useView = (width, height) => useMemo(() => new View(width, height), [width, height]);

// the area with the sheet in it; children lie in the sheet's pixels
export function Sheet({ view, onPointer, cursor = "crosshair", label, children, onHover }) {
  const area = useRef(null);
  useEffect(() => {
    view.area = area.current;
    view.fit();
    const watch = new ResizeObserver(() => view.fit());
    watch.observe(area.current);
    const wheel = (event) => {
      event.preventDefault();
      if (event.ctrlKey || !event.shiftKey) view.zoom(Math.exp(-event.deltaY * (event.ctrlKey ? 0.01 : 0.0015)), view.inArea(event));
      else view.pan(-event.deltaY - event.deltaX, 0);
    };
    area.current.addEventListener("wheel", wheel, { passive: false });
    return () => (watch.disconnect(), area.current?.removeEventListener("wheel", wheel));
  }, [view]);
  const pointer = (event) => {
    const moved = view.take(event);
    onPointer?.(event, moved);
  };
  const { scale, x, y } = view.place.value;
  return html`<div ref=${area} class="area" style=${{ cursor: view.panning.value ? "grab" : cursor }} role="application" aria-label=${label}
    tabindex="0" onPointerDown=${pointer} onPointerMove=${pointer} onPointerUp=${pointer} onPointerCancel=${pointer} onPointerLeave=${onHover}
    onContextMenu=${(event) => event.preventDefault()}>
    <div class=${`sheet${scale >= 2 ? " crisp" : ""}`} style=${{ width: `${view.width}px`, height: `${view.height}px`, transform: `translate(${x}px, ${y}px) scale(${scale})` }}>
      ${children}</div></div>`;
}
