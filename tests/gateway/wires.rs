//! Each provider's wire before the meter: results that are valid or not, streams that are torn, and readers who go
//! away. A hundred tokens cost a credit.

use std::time::Duration;

use reqwest::StatusCode;
use serde_json::{Value, json};

use crate::house::question;
use crate::killed::Place;
use crate::llm::{End, Ending, Gate, Reply, Wire};
use crate::queue_house::{SUMMARY, TEXT};
use crate::stream::Stream;
use crate::support::Person;

const ANALYSIS: &str = r#"{"language": {"code": "en", "name": "English"}, "keywords": ["credits"],
    "sentiment": {"label": "neutral", "score_per_mille": 0}}"#;
const ASKED: [(&str, &str, i64); 2] =
    [("/ai/summarize", SUMMARY, 10), ("/ai/analyze", ANALYSIS, 25)];

async fn listen(place: &Place, person: &Person) -> Stream {
    let client = saldo::clients::http().build().expect("a client");
    let url = format!("{}/v1/chat/completions", place.server.url);
    let asked = client.post(url).bearer_auth(&person.token).json(&question("count", true));
    let answer = asked.send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::OK);
    Stream::new(answer)
}

/// The usage of the last charge in the log.
async fn charged_for(place: &Place) -> Value {
    let usage = "select (payload::jsonb #> '{HoldCaptured,usage}')::text from events
        where event_type = 'HoldCaptured' order by position desc limit 1";
    let usage: String =
        sqlx::query_scalar(usage).fetch_one(place.database.kept().await).await.expect("a charge");
    serde_json::from_str(&usage).expect("JSON")
}

#[tokio::test]
async fn what_is_valid_of_any_provider_is_charged_and_what_is_not_is_free() {
    for wire in Wire::ALL {
        let place = Place::of(wire, &[]).await;
        let (person, _) = place.somebody(0).await;
        let body = json!({ "text": TEXT });
        for (path, result, price) in ASKED {
            for said in [result.to_owned(), format!("```json\n{result}\n```")] {
                place.recorder.script(wire, Reply::says(&said).tokens(70, 30));
                let answer = place.server.post(&person, path, "", &body).await;
                assert_eq!(answer.status, StatusCode::OK, "{wire:?}: {:?}", answer.body);
                let usage = &answer.body["usage"];
                assert_eq!(usage["credits"], price, "{wire:?}");
                assert_eq!(
                    (&usage["input_tokens"], &usage["output_tokens"]),
                    (&json!(70), &json!(30)),
                    "{wire:?}"
                );
            }
        }
        for (path, ..) in ASKED {
            place.recorder.script(wire, Reply::says("That is no JSON."));
            let answer = place.server.post(&person, path, "", &body).await;
            assert_eq!(
                (answer.status, &answer.body["code"]),
                (StatusCode::BAD_GATEWAY, &json!("provider_failed")),
                "{wire:?}"
            );
        }
        assert_eq!(place.available(&person).await, 100 - 70, "{wire:?}");
        assert_eq!(place.recorder.calls_on(wire).len(), 6);
        place.close().await;
    }
}

#[tokio::test]
async fn a_stream_that_is_torn_is_charged_by_what_its_provider_had_reported() {
    // OpenAI reports at the end only: then our estimate is charged.
    for (wire, price) in [(Wire::OpenAi, 1), (Wire::Anthropic, 21), (Wire::Gemini, 21)] {
        let place = Place::of(wire, &[]).await;
        let (person, _) = place.somebody(0).await;
        let torn = Reply::says("one two three").tokens(2000, 3).ending(Ending::Torn);
        place.recorder.script(wire, torn);
        let (events, ended) = listen(&place, &person).await.rest().await;
        assert!(!ended, "{wire:?}: {events:?}");
        assert_eq!(events[events.len() - 1]["error"]["code"], "provider_failed", "{wire:?}");
        let usage = &events[events.len() - 2]["usage"];
        assert_eq!(usage["credits_charged"], price, "{wire:?}: {usage}");
        let charged = charged_for(&place).await;
        assert_eq!(charged["estimated"], true, "{wire:?}: {charged}");
        assert_eq!(charged["input_tokens"] == 2000, wire != Wire::OpenAi, "{wire:?}: {charged}");
        assert_eq!(place.available(&person).await, 100 - price, "{wire:?}");
        place.close().await;
    }
}

#[tokio::test]
async fn whoever_goes_away_pays_what_came_or_all_where_the_provider_charges_on() {
    for (wire, price) in [(Wire::OpenAi, 1), (Wire::Anthropic, 21), (Wire::Gemini, 80)] {
        let (place, gate) = (Place::of(wire, &[]).await, Gate::closed());
        let (person, _) = place.somebody(0).await;
        let reply = Reply::says(&"word ".repeat(40)).tokens(2000, 6000).held_after(2, &gate);
        place.recorder.script(wire, reply.paced(Duration::from_millis(50)));
        let mut stream = listen(&place, &person).await;
        stream.until("word").await;
        drop(stream);
        let charges_on = wire == Wire::Gemini;
        if charges_on {
            // It says much more, to nobody.
            gate.open();
        }
        let end = place.recorder.ended(1).await;
        assert_eq!(end == End::Whole, charges_on, "{wire:?}: {end:?}");
        place.until("select 1 - count(*) from events where event_type = 'HoldCaptured'").await;
        let charged = charged_for(&place).await;
        assert_eq!(charged["estimated"] == true, !charges_on, "{wire:?}: {charged}");
        assert_eq!(place.available(&person).await, 100 - price, "{wire:?}: {charged}");
        place.close().await;
    }
}
