/** Photos from the camera: it runs only while its dialog is open. */

const dialog = document.querySelector("#camera-dialog");
const video = dialog.querySelector("video");
const shoot = dialog.querySelector("#shoot");
const trouble = dialog.querySelector("#camera-trouble");
const QUALITY = 0.92;

const REASONS = {
  NotAllowedError: "The browser does not let this page use the camera. Allow it in the browser’s settings of this page, and try again.",
  NotFoundError: "There is no camera here. Connect one, or choose a photo.",
  NotReadableError: "The camera does not answer; another program may be using it. Close that, and try again.",
};

let taken = 0;

/** @param {(files: File[]) => void} take Gets each photo. */
export function receiveFromCamera(take) {
  document.querySelector("#camera").addEventListener("click", open);
  dialog.addEventListener("close", stop);
  shoot.addEventListener("click", async () => {
    const file = await photograph();
    dialog.close();
    take([file]);
  });
}

async function open() {
  trouble.hidden = true;
  video.hidden = false;
  shoot.disabled = true;
  dialog.showModal();
  try {
    await start();
  } catch (error) {
    video.hidden = true;
    trouble.hidden = false;
    trouble.textContent = REASONS[error.name] ?? `The camera cannot be used: ${error.message}`;
  }
}

async function start() {
  if (!navigator.mediaDevices) {
    throw new Error("browsers lend it only to pages over https, or of this very machine.");
  }
  const stream = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
  stop();
  video.srcObject = stream;
  if (!dialog.open) return stop(); // Closed while the browser was asking.
  await video.play();
  shoot.disabled = false;
  shoot.focus();
}

function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

async function photograph() {
  const canvas = document.createElement("canvas");
  canvas.width = video.videoWidth;
  canvas.height = video.videoHeight;
  canvas.getContext("2d").drawImage(video, 0, 0);
  const blob = await new Promise((done) => canvas.toBlob(done, "image/jpeg", QUALITY));
  taken += 1;
  return new File([blob], `camera-${taken}.jpg`, { type: blob.type });
}
