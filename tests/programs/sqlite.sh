# program: sqlite3: inserts, indices, joins, window functions, transactions, integrity check
# packages: sqlite3
# needs: sqlite3
run() {
    sqlite3 base.db <<'END'
create table t(id integer primary key, k int, v text);
begin;
with recursive c(n) as (select 1 union all select n + 1 from c where n < 20000)
insert into t select n, (n * 7919) % 1013, 'value ' || (n * 31 % 977) from c;
commit;
create index i on t(k);
select count(*), sum(k), max(v) from t;
select k, count(*) c, group_concat(id) from t where k < 3 group by k order by c desc, k;
select id, sum(k) over (order by id rows 3 preceding) from t where id < 8;
select a.id, b.id from t a join t b on a.k = b.k and a.id < b.id where a.id < 30 order by 1, 2 limit 10;
update t set v = upper(v) where id % 3 = 0;
delete from t where k between 100 and 200;
select count(*), sum(length(v)), total(id) from t where v like '%1%';
select printf('%.6f', avg(k * 1.5)), hex(zeroblob(4)), json_extract('{"a":[1,2,{"b":3}]}', '$.a[2].b') from t;
vacuum;
pragma integrity_check;
END
}
after() { sqlite3 base.db 'select sum(id), count(distinct v) from t'; }
