//! Whether the server that is configured here is well: what a container without a shell asks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use super::Failure;
use crate::clients;
use crate::config::Config;

/// How long the answer may take: less than container engines wait.
const PATIENCE: Duration = Duration::from_secs(3);

/// Asks the server that listens where the configuration says whether it lives.
pub(super) async fn health(config: &Config) -> Result<(), Failure> {
    let url = format!("http://{}/livez", reached_at(config.listen));
    // What is on this machine is asked without the proxy that leads out of it.
    let http = clients::http().timeout(PATIENCE).no_proxy().build()?;
    let answer = http.get(&url).send().await;
    match answer.map_err(|_| format!("{url} does not answer"))?.status() {
        status if status.is_success() => Ok(()),
        status => Err(format!("{url} answers {status}").into()),
    }
}

/// Who listens everywhere is reached on this machine.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => (Ipv4Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V6(ip) if ip.is_unspecified() => (Ipv6Addr::LOCALHOST, listen.port()).into(),
        IpAddr::V4(_) | IpAddr::V6(_) => listen,
    }
}
