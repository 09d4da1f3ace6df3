// Numbers and states of runs in words.
export const whole = (value) => (Math.round(value) || 0).toLocaleString("en");
export const exact = (value) => (value === null || value === undefined ? "–" : value.toFixed(3));

export function duration(seconds) {
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return "less than a minute";
  if (minutes < 60) return `${minutes} min`;
  const hours = Math.floor(minutes / 60);
  return hours < 48 ? `${hours} h ${minutes % 60} min` : `${Math.floor(hours / 24)} days`;
}

export const STATUS = { starting: "starting", running: "running", finished: "finished", stopped: "stopped", failed: "failed" };

export function progressOf({ status, step, steps, seconds_left: left }) {
  const at = `Step ${whole(step)} of ${whole(steps)}`;
  if (status === "starting") return "Reading the data; the first probe comes before the first step";
  if (status === "running" && left !== null) return `${at}, ${duration(left)} left`;
  return at;
}

// how much of the way from "without control" to "best possible" is done
export function shareOf({ fidelity, uncontrolled, ceiling }) {
  const share = (fidelity - uncontrolled) / (ceiling - uncontrolled);
  return Number.isFinite(share) && fidelity !== null ? Math.round(100 * share) : null;
}

export function convergenceOf({ jump, probes, status }) {
  if (jump?.at != null) {
    const before = probes.find((one) => one.step === jump.begin)?.fidelity;
    const after = probes.find((one) => one.step === jump.end)?.fidelity;
    const rose = before != null && after != null ? ` Its fidelity rose from ${before.toFixed(2)} to ${after.toFixed(2)}.` : "";
    return `The control took hold at about step ${whole(jump.at)} (${whole(jump.earliest)} to ${whole(jump.latest)}).${rose}`;
  }
  if (status === "running") return "Not yet: a control often ignores its map for hundreds of steps, and then takes hold at once.";
  return probes.length ? "It did not take hold in these steps." : null;
}
