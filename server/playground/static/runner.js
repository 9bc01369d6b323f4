// One call at a time: its state, its results, and the calls of this session.
import { askPlace, linksOf, newQueueId, perform, readResult, Refusal } from "./api.js";
import { useRef, useState } from "./html.js";

const ASK_MS = 1000;

/** Tell the place of a call once a second until it is stopped; returns what stops it. */
function followPlace(queueId, token, tell) {
  let isOver = false;
  const ask = async () => {
    const place = await askPlace(queueId, token);
    if (isOver) return;
    if (place) tell(place);
    timer = setTimeout(ask, ASK_MS);
  };
  let timer = setTimeout(ask, ASK_MS);
  return () => {
    isOver = true;
    clearTimeout(timer);
  };
}

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
    const queueId = newQueueId();
    const stop = followPlace(queueId, token, (place) => setRun((now) => (now.started === started ? { ...now, place } : now)));
    try {
      const { answer, visualId } = await perform(call, token, own.signal, queueId);
      stop();
      const results = await Promise.all(linksOf(answer).map((link) => readResult(link, own.signal)));
      const seconds = (performance.now() - started) / 1000;
      const entry = { id: started, title: operation.title, path: operation.path, picture: operation.picture ? picture : null, answer, results, seconds };
      if (visualId && answer.sid) entry.visual = { id: visualId, sid: answer.sid };
      setEntries((all) => [entry, ...all]);
      setShown({ entry, index: 0 });
      setRun({ phase: "idle" });
    } catch (error) {
      if (error.name === "AbortError") return setRun({ phase: "idle" });
      const refusal = error instanceof Refusal ? error : new Refusal(-1, `The page could not read the answer: ${error.message}`);
      const retryAt = refusal.retryS ? performance.now() + refusal.retryS * 1000 : 0;
      setRun({ phase: "failed", refusal, retryAt });
    } finally {
      stop();
    }
    return undefined;
  };
  const forget = () => setRun((now) => (now.phase === "failed" ? { phase: "idle" } : now));
  return { run, entries, shown, start, forget, show: setShown, cancel: () => controller.current?.abort() };
}
