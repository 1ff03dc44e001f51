//! Who knocks, before anybody knows who they are.

use std::convert::Infallible;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::header::USER_AGENT;
use axum::http::request::Parts;

use super::problems::RequestId;
use crate::accounts::Visitor;

impl<S: Send + Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        let agent = parts.headers.get(USER_AGENT).and_then(|value| value.to_str().ok());
        let address = parts.extensions.get::<ConnectInfo<SocketAddr>>();
        Ok(Self {
            request_id: parts.extensions.get::<RequestId>().map(|RequestId(id)| id.clone()),
            agent: agent.map(str::to_owned),
            address: address.map(|ConnectInfo(address)| address.ip()),
        })
    }
}
