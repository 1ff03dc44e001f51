//! Lists of chats while Redis dies, stands still and comes back, and while many read and write them.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use futures_util::future::{join, join_all, join3};
use reqwest::{Method, StatusCode};
use serde_json::{Value, json};
use tokio::sync::watch;

use crate::nodes::Nodes;
use crate::redis_server::RedisServer;
use crate::support::Server;

/// No answer takes longer, on a machine that has much to do: a quarter of a second is lost once or twice.
const LONGEST: Duration = Duration::from_secs(3);

/// A chat that is called by a number which grows, and the last that was told: the number, and where the log
/// has it.
struct Grows {
    chat: String,
    told: watch::Sender<(u32, String)>,
}

impl Nodes {
    async fn growing(&self) -> Grows {
        let chat = self.house.chat().await;
        Grows { chat, told: watch::Sender::new((0, self.end().await)) }
    }

    /// Calls it by the next number.
    async fn grow(&self, grows: &Grows, at: &Server) {
        let next = grows.told.borrow().0 + 1;
        let bearer = format!("Bearer {}", self.house.ada.token);
        let headers = [("authorization", bearer.as_str())];
        let (path, title) =
            (format!("/api/v1/chats/{}", grows.chat), json!({ "title": next.to_string() }));
        let answer =
            at.send(Method::PATCH, &path, &headers, Some(&title)).await.expect("an answer");
        assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
        let position = answer.header("x-event-position").to_owned();
        grows.told.send_replace((next, position));
    }

    /// Reads the list until it is over, and finds in it all that was told before, in time. How often.
    async fn read(&self, all: &[Grows], at: &Server, limit: usize, over: &AtomicBool) -> usize {
        let mut times = 0;
        while !over.load(Ordering::SeqCst) {
            let grows = &all[times % all.len()];
            let (least, position) = grows.told.borrow().clone();
            let (began, path) = (Instant::now(), format!("/chats?limit={limit}"));
            let answer = at.get_at(&self.house.ada, &path, &position).await;
            assert!(began.elapsed() < LONGEST, "it took {:?}", began.elapsed());
            assert_eq!(answer.status, StatusCode::OK, "{:?}", answer.body);
            let number = number_of(&answer.body, &grows.chat);
            assert!(number >= least, "{number} is older than {least}");
            times += 1;
        }
        times
    }

    /// Two nodes read what grows, until `during` ends.
    async fn while_reading(&self, during: impl Future<Output = ()>) {
        let (all, over) = ([self.growing().await], Arc::new(AtomicBool::new(false)));
        let writing = async {
            while !over.load(Ordering::SeqCst) {
                self.grow(&all[0], &self.house.server).await;
            }
        };
        let ending = async {
            during.await;
            over.store(true, Ordering::SeqCst);
        };
        let readers = [&self.house.server, &self.other].map(|at| self.read(&all, at, 50, &over));
        let (times, _) = join(join_all(readers), join(writing, ending)).await;
        assert!(times.iter().all(|times| *times > 10), "{times:?}");
        self.agree("/chats").await;
    }

    /// Reads so often.
    async fn reads(&self, times: usize) {
        for _ in 0..times {
            self.elsewhere("/chats").await;
        }
    }
}

fn number_of(list: &Value, chat: &str) -> u32 {
    let items = list["items"].as_array().expect("items");
    let item = items.iter().find(|item| item["id"] == chat).unwrap_or_else(|| panic!("{list}"));
    item["title"].as_str().map_or(0, |title| title.parse().expect("a number"))
}

#[tokio::test]
async fn a_node_starts_without_redis_and_uses_it_once_it_is_there() {
    let Some(mut redis) = RedisServer::start().await else { return };
    redis.kill();
    let nodes = Nodes::open(&redis.url()).await;
    nodes.house.chat().await;
    assert_eq!(nodes.house.get("/chats").await, nodes.truth("/chats").await);
    redis.restart().await;
    nodes.until_kept(&redis, 50).await;
    assert_eq!(nodes.elsewhere("/chats").await, nodes.truth("/chats").await);
    nodes.close().await;
}

#[tokio::test]
async fn a_redis_that_is_killed_and_comes_back_with_what_is_old_makes_no_answer_late_or_wrong() {
    let Some(mut redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    nodes
        .while_reading(async {
            nodes.until_kept(&redis, 50).await;
            redis.save().await;
            redis.kill();
            nodes.reads(20).await;
            redis.restart().await;
            nodes.until_kept(&redis, 50).await;
            nodes.reads(20).await;
        })
        .await;
    nodes.close().await;
}

#[tokio::test]
async fn a_redis_that_stands_still_makes_no_answer_late_or_wrong() {
    let Some(redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    nodes
        .while_reading(async {
            nodes.until_kept(&redis, 50).await;
            redis.pause();
            // Longer than it is left alone after a failure, so that it is tried again.
            let began = Instant::now();
            while began.elapsed() < Duration::from_secs(3) {
                nodes.reads(1).await;
            }
            redis.resume();
            nodes.reads(20).await;
        })
        .await;
    nodes.until_kept(&redis, 50).await;
    nodes.close().await;
}

#[tokio::test]
async fn many_who_read_and_write_on_several_nodes_leave_no_old_list() {
    let Some(redis) = RedisServer::start().await else { return };
    let nodes = Nodes::open(&redis.url()).await;
    let all = [nodes.growing().await, nodes.growing().await, nodes.growing().await];
    let (here, there, over) = (&nodes.house.server, &nodes.other, AtomicBool::new(false));
    let writers = all.iter().enumerate().map(async |(number, grows)| {
        for turn in 0..20 {
            let at = if (number + turn) % 2 == 0 { here } else { &nodes.plain };
            nodes.grow(grows, at).await;
        }
    });
    let writing = async {
        join_all(writers).await;
        over.store(true, Ordering::SeqCst);
    };
    // There, nobody writes: who does not say what they must see depends on what is dropped.
    let unaware = (58..62).map(async |limit| {
        while !over.load(Ordering::SeqCst) {
            nodes.elsewhere(&format!("/chats?limit={limit}")).await;
        }
    });
    let aware = (48..52)
        .map(|limit| nodes.read(&all, if limit % 2 == 0 { here } else { there }, limit, &over));
    let (times, _, ()) = join3(join_all(aware), join_all(unaware), writing).await;
    assert!(times.iter().all(|times| *times > 10), "{times:?}");
    for limit in (48..52).chain(58..62) {
        nodes.agree(&format!("/chats?limit={limit}")).await;
    }
    nodes.dropped().await;
    // What came too late is not there after a while either.
    for limit in (48..52).chain(58..62) {
        let path = format!("/chats?limit={limit}");
        let truth = nodes.truth(&path).await;
        assert_eq!(nodes.elsewhere(&path).await, truth);
        assert_eq!(nodes.house.get(&path).await, truth);
    }
    nodes.close().await;
}
