//! Are transactions serializable? Asked of lists to which transactions append.
//!
//! Every element is appended once in a history. The lists that are read then tell in which order the
//! appends came, and from that which transaction must stand before which: one that appended right
//! before another (`ww`), one whose element was read before its reader (`wr`), a reader before the one
//! that appended the first element that it did not see (`rw`). Where these orders form a circle, no
//! serial order explains what was read. This is the idea of Elle (Kingsbury and Alvaro, VLDB 2020)
//! for transactions that only append or only read.
//!
//! # Invariants
//!
//! - A transaction whose outcome is unknown counts as done exactly when an element of it was read.
//! - Elements that were never read are in no order: nothing is found about them but that they are lost.
//!
//! Tested by `append/tests.rs`: known anomalies, and histories of a serial store.

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};

/// How a transaction ended, as its client saw it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// It was done.
    Done,
    /// It certainly was not.
    Failed,
    /// Nobody knows.
    Unknown,
}

/// A list, by number.
pub type ListId = u32;
/// An element; appended once in a history.
pub type Element = u64;

/// What a transaction did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Deed {
    /// It appended these elements, each to a list.
    Append(Vec<(ListId, Element)>, Ending),
    /// It read these lists.
    Read(Vec<(ListId, Vec<Element>)>),
}

/// A transaction with its interval on the clients' clock.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transaction {
    /// What it did.
    pub deed: Deed,
    /// When it was sent, ns.
    pub invoked: u64,
    /// When its answer came, ns; meaningless when its ending is unknown.
    pub completed: u64,
}

/// What no serial order explains. Transactions are told by their places in the history.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Anomaly {
    /// An element was read that nobody appended, or a transaction that was not done.
    Foreign {
        /// The list.
        list: ListId,
        /// The element.
        element: Element,
        /// Who read it.
        reader: usize,
    },
    /// A list holds an element twice.
    Twice {
        /// The list.
        list: ListId,
        /// The element.
        element: Element,
        /// Who read it.
        reader: usize,
    },
    /// Two readings of a list, of which neither is the beginning of the other.
    Orders {
        /// The list.
        list: ListId,
        /// The readers.
        readers: (usize, usize),
    },
    /// An element that was acknowledged before a reading began is not in it.
    Missed {
        /// The list.
        list: ListId,
        /// The element.
        element: Element,
        /// The reader.
        reader: usize,
    },
    /// Each of these must stand before the next, and the last before the first.
    Circle(Vec<usize>),
}

/// Finds what no serial order explains; nothing when there is one as far as can be told.
pub fn check_append(history: &[Transaction]) -> Vec<Anomaly> {
    let appended = appended(history);
    let mut found = Vec::new();
    let longest = longest(history, &appended, &mut found);
    missed(history, &mut found);
    if found.iter().any(|one| !matches!(one, Anomaly::Missed { .. })) {
        // Without one order of each list there is none of the transactions.
        return found;
    }
    found.extend(circle(&edges(history, &appended, &longest), history.len()));
    found
}

/// Who appended each element.
fn appended(history: &[Transaction]) -> BTreeMap<(ListId, Element), (usize, Ending)> {
    let mut appended = BTreeMap::new();
    for (number, one) in history.iter().enumerate() {
        if let Deed::Append(elements, ending) = &one.deed {
            appended.extend(elements.iter().map(|element| (*element, (number, *ending))));
        }
    }
    appended
}

/// The longest reading of each list, of which all others are beginnings.
fn longest<'h>(
    history: &'h [Transaction],
    appended: &BTreeMap<(ListId, Element), (usize, Ending)>,
    found: &mut Vec<Anomaly>,
) -> BTreeMap<ListId, &'h [Element]> {
    let mut longest: BTreeMap<ListId, (usize, &[Element])> = BTreeMap::new();
    for (reader, one) in history.iter().enumerate() {
        let Deed::Read(lists) = &one.deed else { continue };
        for (list, elements) in lists {
            let list = *list;
            let mut seen = BTreeSet::new();
            for element in elements.iter().copied() {
                if !seen.insert(element) {
                    found.push(Anomaly::Twice { list, element, reader });
                }
                match appended.get(&(list, element)) {
                    Some((_, Ending::Done | Ending::Unknown)) => {}
                    Some((_, Ending::Failed)) | None => {
                        found.push(Anomaly::Foreign { list, element, reader });
                    }
                }
            }
            match longest.get(&list).copied() {
                Some((other, known)) => {
                    let (short, long) = if known.len() <= elements.len() {
                        (known, elements.as_slice())
                    } else {
                        (elements.as_slice(), known)
                    };
                    if !long.starts_with(short) {
                        found.push(Anomaly::Orders { list, readers: (other, reader) });
                    } else if long.len() > known.len() {
                        longest.insert(list, (reader, elements));
                    }
                }
                None => {
                    longest.insert(list, (reader, elements));
                }
            }
        }
    }
    longest.into_iter().map(|(list, (_, elements))| (list, elements)).collect()
}

/// Readings that began after an append was acknowledged and lack it.
fn missed(history: &[Transaction], found: &mut Vec<Anomaly>) {
    let mut acknowledged: BTreeMap<ListId, Vec<(u64, Element)>> = BTreeMap::new();
    for one in history {
        if let Deed::Append(elements, Ending::Done) = &one.deed {
            for (list, element) in elements {
                acknowledged.entry(*list).or_default().push((one.completed, *element));
            }
        }
    }
    for (reader, one) in history.iter().enumerate() {
        let Deed::Read(lists) = &one.deed else { continue };
        for (list, elements) in lists {
            let seen: BTreeSet<Element> = elements.iter().copied().collect();
            let before = acknowledged.get(list).into_iter().flatten();
            let before = before.filter(|(completed, _)| *completed < one.invoked);
            let lacking = before.filter(|(_, element)| !seen.contains(element));
            found.extend(lacking.map(|(_, element)| Anomaly::Missed {
                list: *list,
                element: *element,
                reader,
            }));
        }
    }
}

/// Which transaction must stand before which.
fn edges(
    history: &[Transaction],
    appended: &BTreeMap<(ListId, Element), (usize, Ending)>,
    longest: &BTreeMap<ListId, &[Element]>,
) -> Vec<BTreeSet<usize>> {
    let mut edges = vec![BTreeSet::new(); history.len()];
    let writer = |list: ListId, element: Element| appended.get(&(list, element)).map(|one| one.0);
    let mut add = |from: Option<usize>, to: Option<usize>| {
        if let (Some(from), Some(to)) = (from, to)
            && from != to
        {
            edges[from].insert(to);
        }
    };
    for (list, elements) in longest {
        for pair in elements.windows(2) {
            add(writer(*list, pair[0]), writer(*list, pair[1]));
        }
    }
    for (reader, one) in history.iter().enumerate() {
        let Deed::Read(lists) = &one.deed else { continue };
        for (list, elements) in lists {
            if let Some(last) = elements.last() {
                add(writer(*list, *last), Some(reader));
            }
            let next = longest.get(list).and_then(|all| all.get(elements.len()));
            if let Some(next) = next {
                add(Some(reader), writer(*list, *next));
            }
        }
    }
    edges
}

/// A circle of the edges, if there is one.
fn circle(edges: &[BTreeSet<usize>], count: usize) -> Option<Anomaly> {
    let mut incoming = vec![0usize; count];
    edges.iter().flatten().for_each(|to| incoming[*to] += 1);
    let mut free: Vec<usize> = (0..count).filter(|node| incoming[*node] == 0).collect();
    let mut left = count;
    while let Some(node) = free.pop() {
        left -= 1;
        for to in &edges[node] {
            incoming[*to] -= 1;
            if incoming[*to] == 0 {
                free.push(*to);
            }
        }
    }
    if left == 0 {
        return None;
    }
    // What is left has, each, one before it that is left too: going back leads into a circle.
    let before =
        |node: usize| (0..count).find(|from| incoming[*from] > 0 && edges[*from].contains(&node));
    let mut path = vec![(0..count).find(|node| incoming[*node] > 0)?];
    loop {
        let next = before(*path.last()?)?;
        if let Some(at) = path.iter().position(|known| *known == next) {
            let mut circle = path.split_off(at);
            circle.reverse();
            return Some(Anomaly::Circle(circle));
        }
        path.push(next);
    }
}
