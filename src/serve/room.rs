//! How many connections there may be at once: no more than there are files for, and not all of them of one address.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use ipnet::IpNet;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use crate::http::{is_within, network};

/// Connections of clients at once, where files suffice; who comes besides waits to be let in.
const MOST: usize = 10_000;
/// Connections of those who operate a node: some who watch it, and some who look.
const OPERATORS: usize = 64;
/// One address may have a tenth of the connections: whoever takes more than their part keeps others out.
const PARTS: usize = 10;
/// And it may have as many as this in any case: behind one there may be a house with many people.
const A_HOUSE: usize = 100;

/// How many connections a listener has at once.
pub(crate) struct Room {
    seats: Arc<Semaphore>,
    guests: Option<Arc<Guests>>,
}

impl Room {
    /// For clients, who may come by these proxies.
    pub(crate) fn for_clients(proxies: &[IpNet]) -> Self {
        Self::within(files(), proxies)
    }

    /// Of half of the files: a client's request may open another, to whoever answers it, and the database, Redis and the
    /// operators have theirs.
    fn within(files: usize, proxies: &[IpNet]) -> Self {
        let all = (files / 2).min(MOST);
        if all < MOST {
            tracing::warn!(
                files,
                connections = all,
                "few files may be open at once, and so few connections: raise the limit (LimitNOFILE=, ulimit -n)"
            );
        }
        let most = (all / PARTS).max(A_HOUSE);
        let guests = Guests { most, proxies: proxies.to_vec(), there: Mutex::default() };
        Self { seats: Arc::new(Semaphore::new(all)), guests: Some(Arc::new(guests)) }
    }

    /// For those who operate a node, from wherever they come.
    pub(super) fn for_operators() -> Self {
        Self { seats: Arc::new(Semaphore::new(OPERATORS)), guests: None }
    }

    /// A place for a connection, as soon as there is one.
    pub(super) async fn seat(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed.
        Arc::clone(&self.seats).acquire_owned().await.ok()
    }

    /// Lets a connection in, unless its address has as many as one may have.
    pub(super) fn admit(&self, address: IpAddr) -> Option<Guest> {
        let guests = self.guests.as_ref().filter(|guests| !is_within(&address, &guests.proxies));
        let Some(guests) = guests else { return Some(Guest(None)) };
        let address = network(address);
        guests.enter(address).then(|| Guest(Some((Arc::clone(guests), address))))
    }
}

/// Who is there: how many connections each address has that has any.
struct Guests {
    most: usize,
    /// Proxies of ours bring everybody.
    proxies: Vec<IpNet>,
    there: Mutex<HashMap<IpAddr, usize>>,
}

impl Guests {
    fn enter(&self, address: IpAddr) -> bool {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = there.entry(address).or_default();
        let may = *connections < self.most;
        *connections += usize::from(may);
        may
    }

    fn leave(&self, address: IpAddr) {
        let mut there = self.there.lock().unwrap_or_else(PoisonError::into_inner);
        let connections = there.get_mut(&address);
        let left = connections.map_or(0, |connections| {
            *connections = connections.saturating_sub(1);
            *connections
        });
        if left == 0 {
            there.remove(&address);
        }
    }
}

/// A connection that counts for its address until it is dropped; one of a proxy's counts for nobody.
pub(super) struct Guest(Option<(Arc<Guests>, IpAddr)>);

impl Drop for Guest {
    fn drop(&mut self) {
        if let Some((guests, address)) = &self.0 {
            guests.leave(*address);
        }
    }
}

/// Has the system allow as many open files as clients may need, where it does; how many that are. The usual limit of
/// 1,024 is a soft one, for programs that are older than the other.
fn files() -> usize {
    let enough = 2 * MOST as u64;
    let limit = getrlimit(Resource::Nofile);
    let soft = limit.current.unwrap_or(enough);
    let hard = limit.maximum.unwrap_or(enough).min(enough);
    let raised = Rlimit { current: Some(hard), maximum: limit.maximum };
    let files =
        if soft < hard && setrlimit(Resource::Nofile, raised).is_ok() { hard } else { soft };
    usize::try_from(files).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// As many guests as there is room for of these addresses, in turn.
    fn let_in(room: &Room, addresses: &[&str]) -> Vec<Guest> {
        let addresses = addresses.iter().cycle().map(|text| address(text)).take(1_000);
        addresses.map_while(|address| room.admit(address)).collect()
    }

    #[test]
    fn clients_have_half_of_the_files_and_never_more_than_the_most() {
        for (files, connections) in [(256, 128), (1_024, 512), (20_000, MOST), (1 << 20, MOST)] {
            assert_eq!(Room::within(files, &[]).seats.available_permits(), connections);
        }
    }

    #[test]
    fn an_address_has_a_tenth_or_a_house_full_and_an_ipv6_network_is_one() {
        let room = Room::within(4_000, &[]);
        let mut guests = let_in(&room, &["203.0.113.9"]);
        assert_eq!(guests.len(), 200);
        assert!(room.admit(address("::ffff:203.0.113.9")).is_none(), "it is the same");
        assert!(room.admit(address("203.0.113.10")).is_some(), "it is another");
        guests.pop();
        assert!(room.admit(address("203.0.113.9")).is_some(), "one has gone");
        assert_eq!(let_in(&room, &["2001:db8::1", "2001:db8::2"]).len(), 200);

        assert_eq!(let_in(&Room::within(256, &[]), &["203.0.113.9"]).len(), A_HOUSE);
    }

    #[test]
    fn nobody_is_remembered_who_has_gone() {
        let room = Room::within(256, &[]);
        drop(let_in(&room, &["203.0.113.9", "203.0.113.10", "2001:db8::1"]));
        let guests = room.guests.expect("they are counted");
        assert!(guests.there.lock().expect("nobody has panicked").is_empty());
    }

    #[test]
    fn proxies_of_ours_bring_as_many_as_come() {
        let room = Room::within(256, &["10.0.0.0/8".parse().expect("a network")]);
        assert_eq!(let_in(&room, &["10.1.2.3", "::ffff:10.1.2.3"]).len(), 1_000);
    }
}
