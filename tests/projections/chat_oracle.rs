//! What the tables of chats must say: a fold of the log that shares no code with the projection, and
//! finds what waits and what was said last by looking for it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde_json::{Map, Value, json};
use sqlx::PgPool;
use uuid::Uuid;

pub(crate) type Rows = BTreeMap<Uuid, Map<String, Value>>;

/// What the two tables must say.
#[derive(Debug, Default, PartialEq)]
pub(crate) struct Oracle {
    pub(crate) chats: Rows,
    pub(crate) messages: Rows,
}

fn row(value: Value) -> Map<String, Value> {
    let Value::Object(row) = value else { panic!("{value} is no row") };
    row
}

pub(crate) fn id(value: &Value) -> Uuid {
    value.as_str().unwrap().parse().unwrap()
}

impl Oracle {
    /// A fold of the whole log.
    pub(crate) async fn of_log(pool: &PgPool) -> Self {
        let lines: Vec<(i64, String, Value)> = sqlx::query_as(
            "select position, aggregate_id, payload from events where aggregate_type = 'chat'
             order by position",
        )
        .fetch_all(pool)
        .await
        .unwrap();
        let mut oracle = Self::default();
        for (position, chat, payload) in lines {
            let (name, event) = row(payload).into_iter().next().unwrap();
            oracle.enter(chat.parse().unwrap(), position, &name, &event);
        }
        oracle.look_for_what_is_last();
        oracle
    }

    fn enter(&mut self, chat: Uuid, position: i64, name: &str, event: &Value) {
        let at = &event["at"];
        if name == "Created" {
            let new = json!({
                "chat_id": chat, "user_id": event["owner"], "created_at": at, "updated_at": at,
                "messages": 0, "unread": 0, "cancel_asked": null,
            });
            self.chats.insert(chat, row(new));
            return;
        }
        if name == "Deleted" {
            self.chats.remove(&chat).unwrap();
            self.messages.retain(|_, message| message["chat_id"] != json!(chat));
            return;
        }
        match name {
            "Posted" => {
                self.say(chat, position, &event["message"], "user", "done", event);
                self.say(chat, position, &event["reply"], "assistant", "queued", event);
                self.message(&event["reply"], "answers", &event["message"]);
            }
            "Retried" => {
                let answers = self.messages[&id(&event["reply"])]["answers"].clone();
                self.say(chat, position, &event["again"], "assistant", "queued", event);
                self.message(&event["again"], "answers", &answers);
                self.message(&event["reply"], "retried_by", &event["again"]);
            }
            "Replied" => self.end(event, "done"),
            "ReplyFailed" => self.end(event, "failed"),
            "ReplyCancelled" => self.end(event, "cancelled"),
            _ => {}
        }
        let chat = self.chats.get_mut(&chat).unwrap();
        let unread = chat["unread"].as_i64().unwrap();
        match name {
            "CancelAsked" => drop(chat.insert("cancel_asked".into(), event["reply"].clone())),
            "Read" => {
                let left = unread - event["messages"].as_i64().unwrap();
                chat.insert("unread".into(), json!(left));
            }
            "Replied" => drop(chat.insert("unread".into(), json!(unread + 1))),
            _ => {}
        }
        if !["CancelAsked", "Read"].contains(&name) {
            chat.insert("updated_at".into(), at.clone());
        }
    }

    fn say(
        &mut self,
        chat: Uuid,
        position: i64,
        message: &Value,
        role: &str,
        state: &str,
        event: &Value,
    ) {
        let of_chat = |message: &&Map<String, Value>| message["chat_id"] == json!(chat);
        let number = 1 + self.messages.values().filter(of_chat).count();
        let is_user = role == "user";
        let new = json!({
            "message_id": message, "chat_id": chat, "position": position, "number": number,
            "role": role, "state": state, "answers": null, "retried_by": null,
            "model": if is_user { &Value::Null } else { &event["model"] }, "finish": null,
            "hold_id": null, "credits": 0, "input_tokens": null, "output_tokens": null,
            "code": null, "created_at": event["at"],
            "completed_at": if is_user { &event["at"] } else { &Value::Null },
        });
        assert!(self.messages.insert(id(message), row(new)).is_none());
        self.chats.get_mut(&chat).unwrap().insert("messages".into(), json!(number));
    }

    fn message(&mut self, message: &Value, field: &str, value: &Value) {
        self.messages.get_mut(&id(message)).unwrap().insert(field.to_owned(), value.clone());
    }

    fn end(&mut self, event: &Value, state: &str) {
        let reply = &event["reply"];
        self.message(reply, "state", &json!(state));
        self.message(reply, "completed_at", &event["at"]);
        let same = ["finish", "model", "input_tokens", "output_tokens", "code", "credits"];
        for field in same.into_iter().filter(|field| !event[*field].is_null()) {
            self.message(reply, field, &event[field]);
        }
        self.message(reply, "hold_id", &event["hold"]);
    }

    fn look_for_what_is_last(&mut self) {
        for (id, chat) in &mut self.chats {
            let mut mine: Vec<_> =
                self.messages.values().filter(|message| message["chat_id"] == json!(id)).collect();
            mine.sort_by_key(|message| message["number"].as_i64());
            let waits = mine.iter().find(|message| message["state"] == "queued");
            let last = mine.iter().rev().find(|message| message["state"] == "done");
            let of = |message: Option<&&Map<String, Value>>, field: &str| {
                message.map_or(Value::Null, |message| message[field].clone())
            };
            let waiting = of(waits, "message_id");
            let asked = !waiting.is_null() && chat["cancel_asked"] == waiting;
            chat.insert("waiting".into(), waiting);
            chat.insert("cancel_asked".into(), json!(asked));
            chat.insert("last_message".into(), of(last, "message_id"));
            chat.insert("last_role".into(), of(last, "role"));
        }
    }

    /// What they say.
    pub(crate) async fn of_tables(pool: &PgPool) -> Self {
        let read = async |table: &str, key: &str| {
            let sql = format!("select {key}, to_jsonb(t) from {table} t");
            let rows: Vec<(Uuid, Value)> =
                sqlx::query_as(sqlx::AssertSqlSafe(sql)).fetch_all(pool).await.unwrap();
            rows.into_iter().map(|(key, found)| (key, row(found))).collect::<Rows>()
        };
        let mut oracle = Self {
            chats: read("chats", "chat_id").await,
            messages: read("messages", "message_id").await,
        };
        for row in oracle.chats.values_mut().chain(oracle.messages.values_mut()) {
            for (_, value) in row.iter_mut().filter(|(name, _)| name.ends_with("_at")) {
                if let Some(text) = value.as_str() {
                    *value = json!(text.parse::<DateTime<Utc>>().unwrap());
                }
            }
        }
        oracle
    }
}
