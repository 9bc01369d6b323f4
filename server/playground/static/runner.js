// One call at a time: its state, its results, and the calls of this session.
import { linksOf, perform, readResult, Refusal } from "./api.js";
import { useRef, useState } from "./html.js";

/** Return the state of the running call, the entries of this session, and how to start, cancel and show them. */
export function useRunner(token) {
  const [run, setRun] = useState({ phase: "idle" });
  const [entries, setEntries] = useState([]);
  const [shown, setShown] = useState(null);
  const controller = useRef(null);
  const start = async (operation, call, picture) => {
    const own = (controller.current = new AbortController());
    const started = performance.now();
    setRun({ phase: "running", started });
    try {
      const answer = await perform(call, token, own.signal);
      const results = await Promise.all(linksOf(answer).map((link) => readResult(link, own.signal)));
      const seconds = (performance.now() - started) / 1000;
      const entry = { id: started, title: operation.title, path: operation.path, picture: operation.picture ? picture : null, answer, results, seconds };
      setEntries((all) => [entry, ...all]);
      setShown({ entry, index: 0 });
      setRun({ phase: "idle" });
    } catch (error) {
      if (error.name === "AbortError") return setRun({ phase: "idle" });
      const refusal = error instanceof Refusal ? error : new Refusal(-1, `The page could not read the answer: ${error.message}`);
      const retryAt = refusal.retryS ? performance.now() + refusal.retryS * 1000 : 0;
      setRun({ phase: "failed", refusal, retryAt });
    }
    return undefined;
  };
  const forget = () => setRun((now) => (now.phase === "failed" ? { phase: "idle" } : now));
  return { run, entries, shown, start, forget, show: setShown, cancel: () => controller.current?.abort() };
}
