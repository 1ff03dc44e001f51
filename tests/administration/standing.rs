//! Accounts that administrators let rest, and who administers.

use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::support::{Answer, Server};
use crate::things::House;
use crate::world::{
    ADA, PASSWORD, Tokens, ask, cool_down, link, login, message, post, refresh, verify,
};

/// Has somebody who administers decide about an account, once for a key.
async fn decide(server: &Server, by: &Tokens, path: &str, key: &str, body: &Value) -> Answer {
    let bearer = format!("Bearer {}", by.access);
    let headers = [("authorization", bearer.as_str()), ("idempotency-key", key)];
    let path = format!("/api/v1/admin/users/{path}");
    server.send(Method::POST, &path, &headers, Some(body)).await.expect("an answer")
}

/// A role to be given or taken.
fn role(role: &str) -> Value {
    json!({ "role": role, "reason": "test" })
}

impl House {
    /// Has Root decide about Ada.
    async fn decide_of_ada(&self, what: &str, key: &str, body: &Value) -> Answer {
        let path = format!("{}/{what}", self.ada());
        decide(&self.shop.server, &self.root, &path, key, body).await
    }

    /// Gives or takes a role from somebody, in somebody's name.
    async fn change_role(&self, by: &Tokens, about: &Tokens, to: &str) -> Answer {
        let (path, key) = (format!("{}/role", id(about)), Uuid::new_v4().to_string());
        decide(&self.shop.server, by, &path, &key, &role(to)).await
    }

    /// What happened at a position: what, why, by whom.
    async fn event(&self, answer: &Answer) -> (Value, Value, Value) {
        let path = format!("/admin/events/{}", answer.header("x-event-position"));
        let event = self.root_sees(&path).await;
        let kind = event["event_type"].as_str().expect("a type");
        let why = event["payload"][kind]["reason"].clone();
        (event["event_type"].clone(), why, event["metadata"]["actor"].clone())
    }

    /// How many letters Ada has once all that wait are sent.
    async fn letters(&self) -> usize {
        self.shop.until(|| self.shop.is_quiet()).await;
        let inbox = self.shop.server.send(Method::GET, "/dev/inbox", &[], None).await;
        let inbox = inbox.expect("an inbox").body;
        let letters = inbox["items"].as_array().expect("letters").iter();
        letters.filter(|letter| letter["sent_to"] == ADA).count()
    }

    async fn administers(&self, tokens: &Tokens) -> bool {
        let answer = ask(&self.shop.server, Method::GET, "/admin/jobs", &tokens.access).await;
        assert!([StatusCode::OK, StatusCode::FORBIDDEN].contains(&answer.status));
        answer.status == StatusCode::OK
    }
}

fn id(tokens: &Tokens) -> &str {
    tokens.user["id"].as_str().expect("an id")
}

#[tokio::test]
async fn whom_an_administrator_lets_rest_is_out_with_all_keys_until_an_administrator_says_so() {
    let house = House::open().await;
    let (server, ada) = (&house.shop.server, &house.shop.ada);
    let body = json!({ "name": "laptop", "scopes": ["wallet_read"] });
    let key = crate::world::send(server, Method::POST, "/me/api-keys", &ada.access, &body).await;
    let key = key.body["secret"].as_str().expect("a secret").to_owned();
    let by_key = async || ask(server, Method::GET, "/wallet", &key).await.status;
    let why = json!({ "reason": "sends spam" });

    let rests = house.decide_of_ada("deactivate", "one", &why).await;
    assert_eq!(rests.status, StatusCode::NO_CONTENT, "{:?}", rests.body);
    assert_eq!(by_key().await, StatusCode::UNAUTHORIZED, "at once");
    house.shop.until(|| async { !ada.are_good(server).await }).await;
    assert_eq!(refresh(server, &ada.refresh).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(login(server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    let (root, spam) = (house.root.user["id"].clone(), why["reason"].clone());
    assert_eq!(house.event(&rests).await, (json!("Deactivated"), spam.clone(), root.clone()));
    let again = house.decide_of_ada("deactivate", "one", &why).await;
    assert_eq!(again.header("idempotency-replayed"), "true");
    let other = house.decide_of_ada("deactivate", "one", &json!({ "reason": "another" })).await;
    assert_eq!(other.body["code"], "idempotency_key_reused");
    let path = format!("/admin/users/{}", house.ada());
    assert_eq!(house.root_sees(&path).await["status"], "deactivated");

    let back = house.decide_of_ada("reactivate", "two", &json!({ "reason": "was another" })).await;
    assert_eq!(back.status, StatusCode::NO_CONTENT, "{:?}", back.body);
    assert_eq!(house.event(&back).await, (json!("Reactivated"), json!("was another"), root));
    assert_eq!(by_key().await, StatusCode::OK);
    assert!(!ada.are_good(server).await, "a session that ended has ended");
    assert_eq!(login(server, ADA, PASSWORD).await.status, StatusCode::OK);
    // The first request is done already, and stays so.
    house.decide_of_ada("deactivate", "one", &why).await;
    assert_eq!(login(server, ADA, PASSWORD).await.status, StatusCode::OK);
    house.shop.close().await;
}

#[tokio::test]
async fn no_link_leads_back_to_an_account_that_an_administrator_lets_rest() {
    let house = House::open().await;
    let (server, ada) = (&house.shop.server, &house.shop.ada);
    verify(server, ada, ADA).await;
    let body = json!({ "password": PASSWORD });
    let rests =
        crate::world::send(server, Method::POST, "/me/deactivate", &ada.access, &body).await;
    assert_eq!(rests.status, StatusCode::NO_CONTENT, "{:?}", rests.body);
    message(server, ADA, 2).await;
    cool_down(&house.shop.database).await;
    let address = json!({ "email": ADA });
    post(server, "/auth/reactivation", &address).await;
    let token = link(server, ADA, 3).await;
    let barred = house.decide_of_ada("deactivate", "one", &json!({ "reason": "sends spam" })).await;
    assert_eq!(barred.status, StatusCode::NO_CONTENT, "{:?}", barred.body);
    let used = post(server, "/auth/reactivate", &json!({ "token": token })).await;
    assert_eq!((used.status, &used.body["code"]), (StatusCode::FORBIDDEN, &json!("barred")));
    assert_eq!(login(server, ADA, PASSWORD).await.status, StatusCode::UNAUTHORIZED);

    cool_down(&house.shop.database).await;
    let before = house.letters().await;
    let answer = post(server, "/auth/reactivation", &address).await;
    assert_eq!(answer.status, StatusCode::ACCEPTED, "nobody learns of it");
    assert_eq!(house.letters().await, before, "no other link is sent");
    house.shop.close().await;
}

#[tokio::test]
async fn a_role_is_given_and_taken_with_a_reason_and_counts_at_once() {
    let house = House::open().await;
    assert!(!house.administers(&house.ben).await);
    let given = house.change_role(&house.root, &house.ben, "admin").await;
    assert_eq!(given.status, StatusCode::NO_CONTENT, "{:?}", given.body);
    assert!(house.administers(&house.ben).await);
    let by = (json!("RoleChanged"), json!("test"), house.root.user["id"].clone());
    assert_eq!(house.event(&given).await, by);
    let taken = house.change_role(&house.ben, &house.root, "user").await;
    assert_eq!(taken.status, StatusCode::NO_CONTENT, "{:?}", taken.body);
    assert!(!house.administers(&house.root).await && house.administers(&house.ben).await);
    house.shop.close().await;
}

#[tokio::test]
async fn somebody_administers_always_whoever_takes_the_role_from_whom() {
    let house = House::open().await;
    let last = house.change_role(&house.root, &house.root, "user").await;
    assert_eq!(
        (last.status, &last.body["code"]),
        (StatusCode::CONFLICT, &json!("last_administrator"))
    );
    let path = format!("{}/deactivate", id(&house.root));
    let why = json!({ "reason": "test" });
    let last = decide(&house.shop.server, &house.root, &path, "rest", &why).await;
    assert_eq!(last.body["code"], "last_administrator");
    let server = &house.shop.server;
    let password = json!({ "password": PASSWORD });
    let leave = async |method, path| {
        crate::world::send(server, method, path, &house.root.access, &password).await
    };
    for (method, path) in [(Method::POST, "/me/deactivate"), (Method::DELETE, "/me")] {
        let last = leave(method, path).await;
        assert_eq!(
            (last.status, &last.body["code"]),
            (StatusCode::CONFLICT, &json!("last_administrator")),
            "{path}"
        );
    }
    assert!(house.administers(&house.root).await);

    let (root, ben) = (&house.root, &house.ben);
    assert!(house.change_role(root, ben, "admin").await.status.is_success());
    for _ in 0..10 {
        let (one, two) = tokio::join!(
            house.change_role(root, ben, "user"),
            house.change_role(ben, root, "user"),
        );
        let taken = [&one, &two].iter().filter(|answer| answer.status.is_success()).count();
        assert!(taken <= 1, "{:?} {:?}", one.body, two.body);
        let (root_does, ben_does) = (house.administers(root).await, house.administers(ben).await);
        match (root_does, ben_does) {
            (true, true) => {}
            (true, false) => {
                assert!(house.change_role(root, ben, "admin").await.status.is_success());
            }
            (false, true) => {
                assert!(house.change_role(ben, root, "admin").await.status.is_success());
            }
            (false, false) => panic!("nobody administers"),
        }
    }
    assert!(house.change_role(root, ben, "admin").await.status.is_success());
    let left = leave(Method::DELETE, "/me").await;
    assert_eq!(left.status, StatusCode::NO_CONTENT, "{:?}", left.body);
    let rests = crate::world::send(server, Method::POST, "/me/deactivate", &ben.access, &password);
    assert_eq!(rests.await.body["code"], "last_administrator");
    house.shop.close().await;
}

#[tokio::test]
async fn what_cannot_be_decided_is_refused_and_says_why() {
    let house = House::open().await;
    let why = json!({ "reason": "test" });
    for (what, body, field) in [
        ("deactivate", json!({ "reason": "" }), "reason"),
        ("deactivate", json!({}), "body"),
        ("reactivate", json!({ "reason": "a\nb" }), "reason"),
        ("role", json!({ "role": "king", "reason": "test" }), "role"),
        ("role", json!({ "role": "admin", "reason": "" }), "reason"),
    ] {
        let refused = house.decide_of_ada(what, &Uuid::new_v4().to_string(), &body).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{body}: {:?}", refused.body);
        assert!(refused.body["errors"][field].is_string(), "{body}: {:?}", refused.body);
    }
    for (what, body) in [("deactivate", &why), ("reactivate", &why), ("role", &role("admin"))] {
        let path = format!("{}/{what}", Uuid::nil());
        let nobody = decide(&house.shop.server, &house.root, &path, what, body).await;
        assert_eq!(nobody.status, StatusCode::NOT_FOUND, "{what}: {:?}", nobody.body);
    }
    house.decide_of_ada("deactivate", "rest", &why).await;
    let rests = house.decide_of_ada("role", "role", &role("admin")).await;
    assert_eq!((rests.status, &rests.body["code"]), (StatusCode::CONFLICT, &json!("not_active")));
    house.shop.close().await;
}
