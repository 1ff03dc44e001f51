-- A writer that is alone, and sure of its streams, needs nothing looked up but whether a command is known. Starting a
-- statement costs about what an event of a small batch does: here all is one statement. What is to be looked up goes the
-- way it went before, under another name.

alter function append_events rename to append_checked;

-- What `append_checked` answers, as a type: one that is described by a function's arguments is put together at each call.
create type append_answer as (
    last_position bigint,
    at            timestamptz,
    head          bytea,
    alone         boolean,
    duplicates    int[],
    conflicts     int[],
    claimed       int[],
    spent         int[]
);

-- The writer of the log that servers call; its arguments are those of `append_checked` (0002).
create function append_events(
    s_unit       int[],
    s_type       text[],
    s_id         text[],
    s_expected   bigint[],
    s_sure       boolean[],
    e_unit       int[],
    e_type       text[],
    e_id         text[],
    e_sequence   bigint[],
    e_event_type text[],
    e_version    text[],
    e_payload    text[],
    e_metadata   text[],
    e_command    uuid[],
    e_ordinal    smallint[],
    e_leaf       bytea[],
    side         jsonb,
    known        bytea
) returns append_answer
language plpgsql
security definer
set search_path = public, pg_temp
set plan_cache_mode = force_generic_plan
set enable_seqscan = off
as $$
declare
    added  constant int := cardinality(e_unit);
    asked  constant timestamptz := clock_timestamp();
    leaves bytea := '';
    leaf   bytea;
    answer append_answer;
begin
    if added > 0 and side is null and true = all (s_sure) then
        foreach leaf in array e_leaf loop
            leaves := leaves || leaf;
        end loop;

        -- The head is what it was for whoever was last, so this snapshot has all that they wrote. Who waits for the head
        -- while others write finds it changed, and writes nothing here.
        with grown as (
            update log_head h
            set position = h.position + added,
                recorded_at = greatest(asked, h.recorded_at),
                hash = sha256(known || int8send(h.position + 1) || int8send(h.position + added)
                    || int8send((extract(epoch from greatest(asked, h.recorded_at)) * 1000000)::bigint) || leaves)
            where h.id = 1 and h.hash = known
              and not exists (select from events e where e.command_id = any (e_command) and e.ordinal = 0)
            returning h.position, h.recorded_at, h.hash
        ), added_events as (
            insert into events (
                aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata,
                position, recorded_at, command_id, ordinal, leaf_hash)
            select e.type, e.id, e.sequence, e.event_type, e.version, e.payload::json, e.metadata::json,
                grown.position - added + e.n, grown.recorded_at, e.command_id, e.ordinal, e.leaf
            from grown, unnest(e_type, e_id, e_sequence, e_event_type, e_version, e_payload, e_metadata, e_command,
                    e_ordinal, e_leaf) with ordinality
                as e (type, id, sequence, event_type, version, payload, metadata, command_id, ordinal, leaf, n)
        )
        insert into batches as b (first_position, last_position, recorded_at, previous_hash, hash)
        select grown.position - added + 1, grown.position, grown.recorded_at, known, grown.hash from grown
        returning b.last_position, b.recorded_at, b.hash, true
            into answer.last_position, answer.at, answer.head, answer.alone;
        if found then
            return answer;
        end if;
    end if;

    answer := append_checked(s_unit, s_type, s_id, s_expected, s_sure, e_unit, e_type, e_id, e_sequence, e_event_type,
        e_version, e_payload, e_metadata, e_command, e_ordinal, e_leaf, side, known);
    return answer;
end $$;

-- Whoever was let append goes on to, by the one name.
revoke execute on function append_events from public;
do $$
declare
    server regrole;
begin
    for server in
        select a.grantee::regrole from pg_proc p, aclexplode(p.proacl) a
        where p.oid = 'append_checked'::regproc and a.grantee not in (0, p.proowner)
    loop
        execute format('grant execute on function append_events to %s', server);
        execute format('revoke execute on function append_checked from %s', server);
    end loop;
end $$;
