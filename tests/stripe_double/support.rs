//! A plain client, and a shop with something to sell.

use crate::stripe::{SECRET_KEY, StripeDouble};
use serde_json::Value;

/// 2026-01-31T00:00:00Z: a month end, for the clamping.
pub const START: i64 = 1_769_817_600;
pub const DAY: i64 = 24 * 3600;

pub struct Shop {
    pub stripe: StripeDouble,
    pub client: reqwest::Client,
    pub customer: String,
    pub pack: String,
    pub basic: String,
    pub pro: String,
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap_or_default().to_owned()
}

impl Shop {
    pub async fn open() -> Self {
        let stripe = StripeDouble::start_at(START).await;
        let client = saldo::clients::http().build().expect("a client");
        let nobody = String::new;
        let mut shop = Self {
            stripe,
            client,
            customer: nobody(),
            pack: nobody(),
            basic: nobody(),
            pro: nobody(),
        };
        shop.customer =
            shop.made("customers", &[("email", "a@b.test"), ("metadata[user]", "7")]).await;
        let product = shop.made("products", &[("name", "Credits")]).await;
        shop.pack = shop.price(&product, "900", None).await;
        shop.basic = shop.price(&product, "1000", Some("month")).await;
        shop.pro = shop.price(&product, "3000", Some("month")).await;
        shop
    }

    pub async fn price(&self, product: &str, amount: &str, interval: Option<&str>) -> String {
        let mut form = vec![("product", product), ("currency", "usd"), ("unit_amount", amount)];
        form.extend(interval.map(|interval| ("recurring[interval]", interval)));
        self.made("prices", &form).await
    }

    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.post_once(path, form, None).await.expect("an answer")
    }

    pub async fn post_once(
        &self,
        path: &str,
        form: &[(&str, &str)],
        key: Option<&str>,
    ) -> reqwest::Result<(u16, Value)> {
        let url = format!("{}/v1/{path}", self.stripe.url);
        let mut request = self.client.post(url).bearer_auth(SECRET_KEY).form(form);
        if let Some(key) = key {
            request = request.header("idempotency-key", key);
        }
        let answer = request.send().await?;
        let status = answer.status().as_u16();
        let body = answer.text().await?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
    }

    /// The id of what a post made.
    pub async fn made(&self, path: &str, form: &[(&str, &str)]) -> String {
        let (status, object) = self.post(path, form).await;
        assert_eq!(status, 200, "{object}");
        text(&object["id"])
    }

    pub async fn get(&self, path: &str) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.stripe.url);
        let answer = self.client.get(url).bearer_auth(SECRET_KEY).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    pub async fn delete(&self, path: &str) -> (u16, Value) {
        let url = format!("{}/v1/{path}", self.stripe.url);
        let answer =
            self.client.delete(url).bearer_auth(SECRET_KEY).send().await.expect("an answer");
        (answer.status().as_u16(), answer.json().await.expect("JSON"))
    }

    /// An open session for a pack.
    pub async fn checkout(&self) -> String {
        self.session("payment", &self.pack, &[]).await
    }

    pub async fn session(&self, kind: &str, price: &str, more: &[(&str, &str)]) -> String {
        let mut form = vec![
            ("mode", kind),
            ("customer", self.customer.as_str()),
            ("line_items[0][price]", price),
            ("line_items[0][quantity]", "1"),
            ("success_url", "https://app.test/done"),
        ];
        form.extend(more);
        self.made("checkout/sessions", &form).await
    }

    /// The subscription that a paid checkout made.
    pub async fn subscribed(&self, price: &str) -> String {
        let session = self.session("subscription", price, &[]).await;
        text(&self.stripe.pay_checkout(&session)["subscription"])
    }

    /// The types of the events since there were some.
    pub fn kinds_since(&self, before: usize) -> Vec<String> {
        self.stripe.events()[before..].iter().map(|event| text(&event["type"])).collect()
    }
}
