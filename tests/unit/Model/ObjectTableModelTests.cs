using CsCheck;
using IommuFd.GrainInterfaces;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Model;

// The table beside a naive model of it, under random sequences of operations. The model keeps plain lists and looks through them all, so that it
// can hardly be wrong in the same way.

public sealed class ObjectTableModelTests
{
    private enum Op
    {
        Reserve,
        Finalize,
        Abort,
        AbortAndDestroy,
        ObjectHolds,
        DriverHolds,
        Drop,
        Remove,
        RemoveLeavingTombstone,
        ReleaseDriver,
    }

    private static readonly Op[] Likely =
    [
        Op.Reserve, Op.Reserve, Op.Reserve, Op.Finalize, Op.Finalize, Op.Finalize, Op.Abort, Op.AbortAndDestroy,
        Op.ObjectHolds, Op.ObjectHolds, Op.ObjectHolds, Op.DriverHolds, Op.Drop, Op.Drop, Op.Remove, Op.Remove, Op.RemoveLeavingTombstone, Op.ReleaseDriver,
    ];

    [Fact]
    public void Any_sequence_of_operations_leaves_the_table_as_a_naive_model_has_it()
        => Gen.Select(Gen.OneOf(Likely), Gen.Int[0, 1000], Gen.Int[0, 1000]).Array[0, 120].Sample(
            steps =>
            {
                var both = new Both();
                foreach (var (op, a, b) in steps)
                {
                    both.Run(op, a, b);
                    both.Compare();
                }

                both.Release();
            },
            iter: 1000,
            threads: 1,
            print: steps => string.Join(" ", steps.Select(step => $"{step.Item1}({step.Item2},{step.Item3})")));

    private enum State
    {
        Reserved,
        Live,
        Tombstone,
    }

    private sealed class Row(uint id, ObjectEntry entry)
    {
        public uint Id { get; } = id;

        public ObjectEntry Entry { get; } = entry;

        public State State { get; set; } = State.Reserved;

        public override string ToString() => $"object {Id} ({State})";
    }

    private sealed record Edge(object Owner, Row Target, Hold Hold);

    /// <summary>The table and the model.</summary>
    private sealed class Both
    {
        private readonly ObjectTable _table = new();
        private readonly List<Row> _rows = [];
        private readonly List<Edge> _edges = [];
        private readonly ContextReference[] _drivers =
            [new(new ReferenceId(1), ReferenceKind.Driver, "one"), new(new ReferenceId(2), ReferenceKind.Driver, "two")];
        private long _lastHold;

        public void Run(Op op, int a, int b)
        {
            var holdable = _rows.Where(row => row.State == State.Live).ToList();
            switch (op)
            {
                case Op.Reserve:
                    var id = Enumerable.Range(1, int.MaxValue).Select(id => (uint)id).First(id => _rows.All(row => row.Id != id));
                    var entry = _table.Reserve(ObjectType.Ioas)!;
                    Expect.Equal(id, entry.Id.Value, "the id reserved, which is the lowest free one");
                    _rows.Add(new Row(id, entry));
                    break;

                case Op.Finalize when Pick(a, row => row.State == State.Reserved) is { } row:
                    _table.Finalize(row.Entry);
                    row.State = State.Live;
                    break;

                case Op.Abort when Pick(a, row => row.State == State.Reserved && _edges.All(edge => edge.Owner != row)) is { } row:
                    _table.Abort(row.Entry);
                    _rows.Remove(row);
                    break;

                case Op.AbortAndDestroy when Pick(a, row => row.State == State.Reserved) is { } row:
                    _table.AbortAndDestroy(row.Entry);
                    _edges.RemoveAll(edge => edge.Owner == row);
                    _rows.Remove(row);
                    break;

                // Circles are rare in random graphs of few holds; half of the holds go from later to earlier objects only.
                case Op.ObjectHolds when holdable.Count > 0 && Pick(a, row => row.State != State.Tombstone) is { } owner:
                    var target = holdable[b / 2 % holdable.Count];
                    if (b % 2 == 0 || target.Entry.Serial < owner.Entry.Serial)
                    {
                        _edges.Add(new Edge(owner, target, Hold.RefToUsers(owner.Entry, target.Entry, $"object {owner.Id}")));
                    }

                    break;

                case Op.DriverHolds when holdable.Count > 0:
                    var driver = _drivers[a % 2];
                    var held = holdable[b % holdable.Count];
                    _edges.Add(new Edge(driver, held, Hold.RefToUsers(driver, held.Entry, "driver", new HoldId(++_lastHold))));
                    break;

                case Op.Drop when _edges.Count > 0:
                    _edges[a % _edges.Count].Hold.Drop();
                    _edges.RemoveAt(a % _edges.Count);
                    break;

                case Op.Remove or Op.RemoveLeavingTombstone:
                    Remove((uint)(a % (_rows.Count + 3)), op == Op.RemoveLeavingTombstone);
                    break;

                case Op.ReleaseDriver:
                    LetGo(_drivers[a % 2]);
                    break;
            }
        }

        public void Compare()
        {
            var live = _rows.Where(row => row.State == State.Live).OrderBy(row => row.Id).ToList();
            Expect.Equal(live.Count, _table.Count, "live objects");
            Expect.Equal(_rows.Count == 0, _table.IsEmpty, "whether no id is taken");
            Expect.Sequence(live.Select(row => row.Entry), _table.After(0), "the objects by ascending id");
            for (uint id = 0; id <= _rows.Count + 2; id++)
            {
                Expect.Equal(live.Find(row => row.Id == id)?.Entry, _table.Find(id), $"the object with id {id}");
            }

            foreach (var row in live)
            {
                Expect.Equal(1L + _edges.Count(edge => edge.Target == row), row.Entry.Users, $"users of {row}");
                Expect.Sequence(
                    _edges.Where(edge => edge.Target == row).Select(edge => edge.Hold.Owner.Describe(edge.Hold).ToString()).Order(),
                    row.Entry.DescribeHolders(1000).Select(holder => holder.ToString()).Order(),
                    $"holders of {row}");
            }

            foreach (var row in _rows.Where(row => row.State != State.Tombstone))
            {
                Expect.Equal(_edges.Count(edge => edge.Owner == row), row.Entry.HeldCount, $"holds of {row}");
            }

            foreach (var driver in _drivers)
            {
                Expect.Equal(_edges.Count(edge => edge.Owner == driver), driver.HeldCount, $"holds of driver {driver.Name}");
            }
        }

        /// <summary>Ends as a context does: drivers let go first, and nothing is under construction.</summary>
        public void Release()
        {
            foreach (var driver in _drivers)
            {
                LetGo(driver);
            }

            while (Pick(0, row => row.State == State.Reserved) is not null)
            {
                Run(Op.AbortAndDestroy, 0, 0);
            }

            Compare();

            // The kernel's way: scan for what nobody holds, again and again, until a scan finds nothing.
            var left = _rows.Where(row => row.State == State.Live).ToList();
            var edges = _edges.ToList();
            while (left.FindAll(row => edges.All(edge => edge.Target != row)) is { Count: > 0 } leaves)
            {
                left.RemoveAll(leaves.Contains);
                edges.RemoveAll(edge => leaves.Contains(edge.Owner));
            }

            var expected = _rows.Where(row => row.State == State.Live).Except(left).Select(row => row.Entry).OrderBy(entry => entry.Id.Value).ToList();
            var (destroyed, stuck) = _table.Release();
            Expect.Sequence(expected, destroyed.OrderBy(entry => entry.Id.Value), "the destroyed objects");
            Expect.Sequence(left.Select(row => row.Entry).OrderBy(entry => entry.Id.Value), stuck, "the stuck objects");
            Expect.Equal(0, _table.Count, "live objects after the release");
            Expect.Sequence([], _table.After(0), "the objects after the release");
            foreach (var (owner, target) in _edges.Select(edge => (edge.Hold.Owner, edge.Target.Entry)))
            {
                var (first, second) = (destroyed.IndexOf((ObjectEntry)owner), destroyed.IndexOf(target));
                Expect.That(second < 0 || (first >= 0 && first < second), $"{target.Ref} went before its holder {((ObjectEntry)owner).Ref}.");
            }
        }

        private void Remove(uint id, bool leaveTombstone)
        {
            var row = _rows.Find(row => row.Id == id && row.State == State.Live);
            var expected = row is null ? Errno.ENOENT : _edges.Exists(edge => edge.Target == row) ? Errno.EBUSY : Errno.None;
            Expect.Equal(expected, _table.Remove(id, leaveTombstone, out var entry), $"removing id {id}");
            Expect.Equal(row?.Entry, entry, $"the object with id {id}");
            if (expected != Errno.None)
            {
                return;
            }

            _edges.RemoveAll(edge => edge.Owner == row);
            if (leaveTombstone)
            {
                row!.State = State.Tombstone;
            }
            else
            {
                _rows.Remove(row!);
            }
        }

        private void LetGo(ContextReference driver)
        {
            foreach (var edge in _edges.Where(edge => edge.Owner == driver))
            {
                edge.Hold.Drop();
            }

            _edges.RemoveAll(edge => edge.Owner == driver);
        }

        private Row? Pick(int choice, Func<Row, bool> condition)
        {
            var candidates = _rows.Where(condition).ToList();
            return candidates.Count == 0 ? null : candidates[choice % candidates.Count];
        }
    }
}
