use super::*;
use std::collections::BTreeSet;

fn membership() -> Membership {
    let nodes: BTreeMap<u64, openraft::impls::EmptyNode> =
        [1, 2, 3, 9].into_iter().map(|n| (n, openraft::impls::EmptyNode {})).collect();
    Membership::new(vec![BTreeSet::from([1, 2]), BTreeSet::from([1, 3])], nodes).unwrap()
}

fn entries() -> Vec<Entry> {
    [
        EntryPayload::Blank,
        EntryPayload::Normal(Payload(Bytes::from_static(b"decision"))),
        EntryPayload::Membership(membership()),
    ]
    .into_iter()
    .enumerate()
    .map(|(i, payload)| Entry { log_id: log_id(7, 40 + i as u64), payload })
    .collect()
}

#[test]
fn entries_round_trip() {
    for entry in entries() {
        let bytes = encode_payload(&entry);
        assert_eq!(decode_payload(7, entry.log_id.index, &bytes).unwrap(), entry);
    }
}

#[test]
fn requests_round_trip() {
    let vote = Vote::new_committed(7, 2);
    let append = AppendEntriesRequest {
        vote,
        prev_log_id: Some(log_id(6, 39)),
        entries: entries(),
        leader_commit: None,
    };
    let vote_request = VoteRequest::new(vote, Some(log_id(6, 1)));
    let transfer = TransferLeaderRequest::new(vote, 3, Some(log_id(1, 2)));
    for request in [
        Request::Append(append),
        Request::Vote(vote_request.clone()),
        Request::PreVote(vote_request),
        Request::Transfer(transfer),
    ] {
        let bytes = encode_request(&request);
        let again = decode_request(&bytes).unwrap();
        assert_eq!(format!("{again:?}"), format!("{request:?}"));
        assert_eq!(encode_request(&again), bytes);
    }
}

#[test]
fn responses_round_trip() {
    let vote = Vote::new(7, 2);
    for response in [
        Response::Append(AppendEntriesResponse::Success),
        Response::Append(AppendEntriesResponse::PartialSuccess(Some(log_id(1, 2)))),
        Response::Append(AppendEntriesResponse::Conflict),
        Response::Append(AppendEntriesResponse::HigherVote(vote)),
        Response::Vote(VoteResponse::new(vote, None, true)),
        Response::Transfer(true),
    ] {
        let bytes = encode_response(&response);
        assert_eq!(encode_response(&decode_response(&bytes).unwrap()), bytes);
    }
}

#[test]
fn damaged_bytes_are_refused_without_panic() {
    let bytes = encode_request(&Request::Append(AppendEntriesRequest {
        vote: Vote::new_committed(7, 2),
        prev_log_id: None,
        entries: entries(),
        leader_commit: Some(log_id(7, 41)),
    }));
    for cut in 0..bytes.len() {
        assert!(decode_request(&bytes[..cut]).is_err(), "cut at {cut}");
    }
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 0xff;
        let _ = decode_request(&damaged);
        let _ = decode_response(&damaged);
        let _ = decode_snapshot_head(&damaged);
    }
}
