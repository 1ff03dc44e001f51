//! The way of a request: it is noted, answered as scripted, and its end is noted.

use std::io::{Error, ErrorKind};
use std::time::Instant;

use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use axum::response::{IntoResponse, Response};
use futures_util::stream;

use super::reply::{Reply, Step};
use super::{Call, End, Recorder, Wire};

pub(super) async fn answer(
    State(recorder): State<Recorder>,
    uri: Uri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let Some(wire) = Wire::of(uri.path()) else { return StatusCode::NOT_FOUND.into_response() };
    let body = serde_json::from_slice(&body).expect("a body in JSON");
    let call = Call { wire, path: uri.to_string(), headers, body, at: Instant::now(), end: None };
    let watch = Watch { index: recorder.note(call), sent: 0, end: None, recorder };
    let reply = watch.recorder.reply(wire);
    // Whoever hangs up meanwhile drops all this.
    tokio::time::sleep(reply.late).await;
    let steps = reply.on(wire).into_iter();
    let body = stream::unfold((steps, watch), |(mut steps, mut watch)| async move {
        let piece = watch.go_on(&mut steps).await?;
        Some((piece, (steps, watch)))
    });
    let mut response = Response::builder().status(reply.status);
    for (name, value) in &reply.headers {
        response = response.header(*name, value);
    }
    response.body(Body::from_stream(body)).expect("a response")
}

impl Recorder {
    fn reply(&self, wire: Wire) -> Reply {
        let mut state = self.state();
        let scripted = state.scripts.get_mut(&wire).and_then(std::collections::VecDeque::pop_front);
        let usual = scripted.or_else(|| state.always.get(&wire).cloned());
        usual.unwrap_or_else(|| Reply::says("This is said when nothing else is scripted."))
    }
}

/// Notes the end of a call when it is dropped.
struct Watch {
    recorder: Recorder,
    index: usize,
    sent: usize,
    end: Option<End>,
}

impl Watch {
    /// The next piece to send, once it is time.
    async fn go_on(
        &mut self,
        steps: &mut std::vec::IntoIter<Step>,
    ) -> Option<Result<Bytes, Error>> {
        loop {
            match steps.next() {
                Some(Step::Bytes(bytes)) => {
                    self.sent += 1;
                    return Some(Ok(bytes.into()));
                }
                Some(Step::Pause(pause)) => tokio::time::sleep(pause).await,
                Some(Step::Wait(gate)) => gate.wait().await,
                Some(Step::Tear) => {
                    // What was sent before is on its way first.
                    tokio::task::yield_now().await;
                    self.end = Some(End::Torn);
                    return Some(Err(Error::from(ErrorKind::ConnectionReset)));
                }
                Some(Step::Hang) => std::future::pending().await,
                None => {
                    self.end = Some(End::Whole);
                    return None;
                }
            }
        }
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let left = || End::Left { after: self.sent, within: self.recorder.since(self.index) };
        self.recorder.note_end(self.index, self.end.unwrap_or_else(left));
    }
}
