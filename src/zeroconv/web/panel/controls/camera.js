// A picture from the camera.
import { html, useEffect, useRef, useState } from "../lib/html.js";
import { Dialog } from "../lib/fields.js";
import { canvasOf } from "../lib/pictures.js";

export function Camera({ onPicture, onClose }) {
  const video = useRef(null);
  const [trouble, setTrouble] = useState(null);
  const [ready, setReady] = useState(false);
  useEffect(() => {
    let stream = null;
    let left = false;
    const stop = () => stream?.getTracks().forEach((track) => track.stop());
    (navigator.mediaDevices?.getUserMedia({ video: { facingMode: "environment" } }) ?? Promise.reject(new Error("this browser gives no camera to this page")))
      .then((found) => {
        stream = found;
        if (left) return stop();
        video.current.srcObject = found;
        return video.current.play();
      })
      .catch((error) => setTrouble(error.message));
    return () => ((left = true), stop());
  }, []);
  const take = () => {
    const canvas = canvasOf(video.current.videoWidth, video.current.videoHeight);
    canvas.getContext("2d").drawImage(video.current, 0, 0);
    canvas.toBlob((blob) => (onPicture(blob), onClose()), "image/png");
  };
  return html`<${Dialog} title="Camera" onClose=${onClose}>
    ${trouble ? html`<p>No camera: ${trouble}</p>` : html`<video ref=${video} muted playsinline class="camera" onLoadedData=${() => setReady(true)}></video>`}
    <button type="button" class="primary" disabled=${Boolean(trouble) || !ready} onClick=${take}>Take the picture</button><//>`;
}
