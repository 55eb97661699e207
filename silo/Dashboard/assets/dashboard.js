// Keeps pages alive: starts the circuit to the silo, reconnects when it is lost, and reloads the page when the silo has dropped the circuit.
(() => {
    const modal = document.getElementById("components-reconnect-modal");
    modal.addEventListener("components-reconnect-state-changed", async change => {
        if (change.detail.state === "rejected") {
            location.reload();
        } else if (change.detail.state === "failed") {
            // The silo may come back at any time: ask until it does, then reload.
            const ask = async () => {
                try {
                    await fetch("/assets/icon.svg", { cache: "no-store" });
                    location.reload();
                } catch {
                    setTimeout(ask, 2000);
                }
            };
            ask();
        }
    });
    Blazor.start({ circuit: { reconnectionOptions: { retryIntervalMilliseconds: attempt => attempt < 60 ? Math.min(250 * 2 ** attempt, 2000) : null } } });
})();
