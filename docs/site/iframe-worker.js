// Search in a site that is opened from a folder: browsers forbid workers there, so the worker's
// script runs in a hidden frame. The file's name tells the offline plugin that there is such a thing.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super()
      const frame = document.createElement("iframe")
      frame.hidden = true
      this.inner = new Promise((resolve) => {
        frame.addEventListener("load", () => {
          const inner = frame.contentWindow
          inner.postMessage = (data) => this.dispatchEvent(new MessageEvent("message", { data }))
          const script = inner.document.createElement("script")
          script.src = url
          script.addEventListener("load", () => resolve(inner))
          inner.document.head.append(script)
        }, { once: true })
      })
      frame.srcdoc = "<!doctype html><title>worker</title>"
      document.body.append(frame)
    }

    postMessage(data) {
      this.inner.then((inner) => inner.dispatchEvent(new inner.MessageEvent("message", { data })))
    }

    terminate() {}
  }
}
