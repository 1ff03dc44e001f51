//! Prices as they are told beforehand, as they are charged, and as they change: what was charged by the old ones
//! says so for ever.

use reqwest::{Method, StatusCode};
use saldo::clients::llm::Finish;
use serde_json::{Value, json};

use crate::house::House;
use crate::killed::{Place, complete};
use crate::llm::{Gate, Reply, Wire};
use crate::queue_house::{SUMMARY, TEXT};
use crate::script::Step;
use crate::support::Person;

impl Place {
    /// Starts another server, with other prices, when this one has ended.
    async fn reprice(&mut self, changes: &[(&str, &str)]) {
        let file = self.database.data.join("models.json");
        let mut models = std::fs::read_to_string(&file).expect("models");
        for (old, new) in changes {
            assert!(models.contains(old), "{old}: {models}");
            models = models.replace(old, new);
        }
        std::fs::write(&file, models).expect("a file");
        self.server.kill();
        self.restart().await;
    }

    /// What was charged, newest first, and by which prices: of its hold, and of what was delivered.
    async fn charges(&self, person: &Person) -> Vec<(i64, Value, Value)> {
        let end = self.database.end().await;
        let history = self.server.get_at(person, "/wallet/transactions", &end).await.body;
        let rows = history["items"].as_array().expect("a history");
        let mut charges = Vec::new();
        for row in rows.iter().filter(|row| row["kind"] == "capture") {
            let path =
                format!("/wallet/transactions/{}/explain", row["id"].as_str().expect("an id"));
            let why = self.server.get(person, &path).await.body;
            let price = ["fixed", "metered"].iter().find_map(|kind| why["price"].get(kind));
            let held_by = price.unwrap_or_else(|| panic!("{why}"))["version"].clone();
            let consumed = row["consumed"].as_i64().expect("credits");
            charges.push((consumed, held_by, why["usage"]["prices"].clone()));
        }
        charges
    }

    /// Asks for a summary without waiting for it.
    async fn queue(&self, person: &Person) {
        let bearer = format!("Bearer {}", person.token);
        let headers = [("authorization", bearer.as_str()), ("prefer", "respond-async")];
        let (path, text) = ("/api/v1/ai/summarize", json!({ "text": TEXT }));
        let queued = self.server.send(Method::POST, path, &headers, Some(&text)).await;
        let queued = queued.expect("an answer");
        assert_eq!(queued.status, StatusCode::ACCEPTED, "{:?}", queued.body);
    }
}

#[tokio::test]
async fn who_starts_with_new_prices_charges_by_them_and_what_was_held_or_charged_keeps_its_own() {
    let mut place = Place::open().await;
    let (person, _) = place.somebody(0).await;
    place.recorder.always(Wire::OpenAi, Reply::says("one two").tokens(200, 100));
    let old = complete(&place.server, &person, "old").await.expect("an answer");
    assert_eq!(old.header("credits-charged"), "3", "{:?}", old.body);
    let gate = Gate::closed();
    place.recorder.script(Wire::OpenAi, Reply::says(SUMMARY).held_after(1, &gate));
    place.queue(&person).await;
    place.recorder.called(2).await;

    place.recorder.script(Wire::OpenAi, Reply::says(SUMMARY));
    place
        .reprice(&[
            ("test-1", "test-2"),
            ("10000", "20000"),
            ("\"summarize\": 10", "\"summarize\": 12"),
        ])
        .await;
    place.until("select count(*) from queued_calls").await;
    let new = complete(&place.server, &person, "new").await.expect("an answer");
    assert_eq!(new.header("credits-charged"), "6", "{:?}", new.body);
    let again = complete(&place.server, &person, "old").await.expect("an answer");
    assert_eq!(again.header("credits-charged"), "3", "{:?}", again.body);
    let summary = json!({ "text": TEXT });
    place.recorder.script(Wire::OpenAi, Reply::says(SUMMARY));
    let summary = place.server.post(&person, "/ai/summarize", "", &summary).await;
    assert_eq!(summary.header("credits-charged"), "12", "{:?}", summary.body);

    let [one, two] = ["test-1", "test-2"].map(|version| json!(version));
    let charged = |credits, version: &Value| (credits, version.clone(), version.clone());
    assert_eq!(
        place.charges(&person).await,
        [charged(12, &two), charged(6, &two), charged(10, &one), charged(3, &one)]
    );
    assert_eq!(place.available(&person).await, 100 - 31);
    place.close().await;
}

/// The provider counts what was estimated, and the longest answer, or none.
#[tokio::test]
async fn what_is_estimated_is_charged_where_the_provider_counts_so() {
    const MOST: u32 = 50;
    let house = House::open(100).await;
    let body = json!({ "text": "Hello, you!", "max_output_tokens": MOST });
    let estimate = house.post("/ai/estimate", &body).await;
    assert_eq!(estimate.status, StatusCode::OK, "{:?}", estimate.body);
    let figure = |name: &str| estimate.body[name].as_i64().unwrap_or_else(|| panic!("{name}"));
    let input = u64::try_from(figure("input_tokens")).expect("tokens");
    assert_eq!((house.wallet().await, house.script.asked()), ((100, 0), 0));
    for (output, wanted) in [(0, "credits_at_least"), (MOST, "credits_at_most")] {
        let said = Step::Says("Hello.".to_owned());
        let used = Step::Used(Some(input), Some(output.into()));
        house.script.answer("Hello, you!", vec![said, used, Step::Ends(Finish::Length)]);
        let answer = house.ask("Hello, you!", "").await;
        assert_eq!(answer.header("credits-charged"), figure(wanted).to_string(), "{wanted}");
    }
    // Nobody else's count is known: ours is the estimate's.
    let silent = vec![Step::Says("Hello.".to_owned()), Step::Ends(Finish::Stop)];
    house.script.answer("Hello, you!", silent);
    let answer = house.ask("Hello, you!", "").await;
    assert_eq!(answer.body["usage"]["prompt_tokens"], estimate.body["input_tokens"]);
    house.close().await;
}

#[tokio::test]
async fn what_is_on_offer_is_what_is_charged() {
    let house = House::open(100).await;
    let offer = house.get("/ai/models").await;
    assert_eq!((&offer["version"], &offer["usual"]), (&json!("test-1"), &json!("local-1")));
    let model = &offer["items"][0];
    let rate = |name: &str| model[name].as_i64().unwrap_or_else(|| panic!("{offer}"));
    let used = vec![
        Step::Says("Hello.".to_owned()),
        Step::Used(Some(7), Some(9)),
        Step::Ends(Finish::Stop),
    ];
    house.script.answer("hello", used);
    let answer = house.ask("hello", "").await;
    let price = (7 * rate("input_per_million") + 9 * rate("output_per_million")) / 1_000_000;
    assert_eq!(answer.header("credits-charged"), price.to_string(), "{offer}");
    assert_eq!(house.captured_usage().await["prices"], offer["version"]);
    let summary = vec![Step::Says(SUMMARY.to_owned()), Step::Ends(Finish::Stop)];
    house.script.answer(TEXT, summary);
    let answer = house.post("/ai/summarize", &json!({ "text": TEXT })).await;
    assert_eq!(answer.header("credits-charged"), offer["summarize"].to_string(), "{offer}");
    house.close().await;
}

/// Nothing else would end it: a fixed price does not grow with what is written.
#[tokio::test]
async fn for_a_fixed_price_nobody_is_read_who_writes_on_and_on() {
    let house = House::open(100).await;
    let much = || Step::Says("and so on ".repeat(3_000));
    house.script.answer(TEXT, vec![much(), much(), much(), Step::Waits]);
    let answer = house.post("/ai/summarize", &json!({ "text": TEXT })).await;
    assert_eq!(answer.status, StatusCode::BAD_GATEWAY, "{:?}", answer.body);
    assert_eq!(answer.body["code"], "provider_failed");
    assert_eq!(house.settled().await, 100, "it is free");
    house.close().await;
}
