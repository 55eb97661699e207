using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Encoding;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.Journaling;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Hwpts;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Objects.Graph;
using IommuFd.UnitTests.Support;
using Microsoft.Extensions.Logging.Abstractions;

namespace IommuFd.UnitTests.Snapshots;

/// <summary>Snapshots that make no sense are found out before anything is made of them that makes none either.</summary>
public sealed class SnapshotFormatTests
{
    private static readonly (string Name, Func<ContextSnapshot, ContextSnapshot> Damage)[] Damages =
    [
        ("no such mode", snapshot => snapshot with { Mode = (ContextMode)9 }),
        ("no references", snapshot => snapshot with { References = null! }),
        ("a reference that is none", snapshot => snapshot with { References = [null!] }),
        ("a reference twice", snapshot => snapshot with { References = [.. snapshot.References, snapshot.References[0]] }),
        ("a reference without a name", snapshot => snapshot with { References = [snapshot.References[0] with { Name = "" }, .. snapshot.References[1..]] }),
        ("a reference with a number that was not given", snapshot => snapshot with { References = [.. snapshot.References, snapshot.References[0] with { Id = 99 }] }),
        ("a session twice", snapshot => snapshot with { References = [.. snapshot.References.Select(reference => reference with { Session = 5 })] }),
        ("an answer that is none", snapshot => Replies(snapshot, new ReplaySnapshot { Sequences = Column(1), Answers = ["text"] })),
        ("an answer to what is settled", snapshot => Replies(snapshot, new ReplaySnapshot { Settled = 1, Sequences = Column(1), Answers = [IoctlReply.Success] })),
        ("an answer twice", snapshot => Replies(snapshot, new ReplaySnapshot { Sequences = Column(1, 1), Answers = [IoctlReply.Success, IoctlReply.Success] })),
        ("less answers than numbers", snapshot => Replies(snapshot, new ReplaySnapshot { Sequences = Column(1, 2), Answers = [IoctlReply.Success] })),
        ("no entries", snapshot => snapshot with { Entries = null! }),
        ("no such kind", snapshot => Entries(snapshot, entries => entries with { Kinds = Column(Numbers(entries.Kinds) is [_, .. var rest] ? [198, .. rest] : []) })),
        ("an id twice", snapshot => Entries(snapshot, entries => entries with { Ids = Column([.. Numbers(entries.Ids).Select(_ => 1UL)]) })),
        ("the id 0", snapshot => Entries(snapshot, entries => entries with { Ids = Column(Numbers(entries.Ids) is [_, .. var rest] ? [0, .. rest] : []) })),
        ("an id that was never reached", snapshot => Entries(snapshot, entries => entries with { Ids = Column(Numbers(entries.Ids) is [.. var rest, _] ? [.. rest, 1U << 30] : []) })),
        ("less ids than objects", snapshot => Entries(snapshot, entries => entries with { Ids = Column(Numbers(entries.Ids)[1..]) })),
        ("serial numbers that do not ascend", snapshot => Entries(snapshot, entries => entries with { Serials = Column([.. Numbers(entries.Serials).Reverse()]) })),
        ("a serial number that was not given", snapshot => Entries(snapshot, entries => entries with { LastSerial = 1 })),
        ("no data", snapshot => Entries(snapshot, entries => entries with { Data = null })),
        ("more data", snapshot => Entries(snapshot, entries => entries with { Data = [.. entries.Data!, entries.Data![0]] })),
        ("data of another kind", snapshot => Entries(snapshot, entries => entries with { Data = [.. entries.Data!.Reverse()] })),
        ("data that is none", snapshot => Entries(snapshot, entries => entries with { Data = [.. entries.Data!.Select(_ => (EntrySnapshot)null!)] })),
        ("a tombstone where an object is", snapshot => Entries(snapshot, entries => entries with { Tombstones = Column(1) })),
        ("a device without a description", snapshot => Data<DeviceEntrySnapshot>(snapshot, device => device with { Device = null! })),
        ("a device of no IOMMU", snapshot => Data<DeviceEntrySnapshot>(snapshot, device => device with { Device = device.Device with { Iommu = "none" } })),
        ("a device without regions", snapshot => Data<DeviceEntrySnapshot>(snapshot, device => device with { Device = device.Device with { ReservedRegions = null! } })),
        ("a device with more PASIDs than holds", snapshot => Data<DeviceEntrySnapshot>(snapshot, device => device with { Pasids = Column(0, 1, 2, 3, 4, 5) })),
        ("a HWPT of no IOAS", snapshot => Data<HwptEntrySnapshot>(snapshot, hwpt => hwpt with { Ioas = 77 })),
        ("a HWPT of another IOAS", snapshot => Data<HwptEntrySnapshot>(snapshot, hwpt => hwpt with { Ioas = 3 - hwpt.Ioas })),
        ("a HWPT of no IOMMU", snapshot => Data<HwptEntrySnapshot>(snapshot, hwpt => hwpt with { Iommu = "none" })),
        ("no holds", snapshot => snapshot with { Holds = null }),
        ("a hold of nobody", snapshot => Holds(snapshot, holds => holds with { Owners = Column([.. Numbers(holds.Owners)[1..], 1001]) })),
        ("a hold of nothing", snapshot => Holds(snapshot, holds => holds with { Targets = Column([.. Numbers(holds.Targets)[1..], 1001]) })),
        ("a hold of an id that none can have", snapshot => Holds(snapshot, holds => holds with { Targets = Column([.. Numbers(holds.Targets)[1..], 1UL << 40]) })),
        ("a hold for no reason", snapshot => Holds(snapshot, holds => holds with { Texts = holds.Texts![1..] })),
        ("a hold with the number of another", snapshot => Holds(snapshot, holds => holds with { Ids = Column([.. Numbers(holds.Ids).Select(_ => 1UL)]) })),
        ("holds of others", snapshot => Holds(snapshot, holds => holds with { Owners = Column([.. Numbers(holds.Owners).Reverse()]) })),
        ("an IOAS for VFIO that is none", snapshot => snapshot with { CompatIoas = 99 }),
        ("a state of no object", snapshot => snapshot with { Stateful = Column(77) }),
        ("a state of an object without a grain", snapshot => snapshot with { Stateful = Column(IdOf<HwptEntrySnapshot>(snapshot)) }),
        ("a state of another kind of object", snapshot => snapshot with { Stateful = Column(IdOf<DeviceEntrySnapshot>(snapshot)) }),
        ("more states than ids", snapshot => snapshot with { States = [.. snapshot.States!, snapshot.States![0]] }),
        ("more ids than states", snapshot => snapshot with { States = null }),
        ("a state that is none", snapshot => snapshot with { States = [null!] }),
        ("the same state twice", snapshot => snapshot with { Stateful = Column(1, 1), States = [snapshot.States![0], snapshot.States![0]] }),
        ("HWPTs without domains", snapshot => Ioas(snapshot, ioas => ioas with { Domains = null })),
        ("domains without HWPTs", snapshot => Ioas(snapshot, ioas => ioas with { Hwpts = default })),
        ("more idle domains than there are", snapshot => Ioas(snapshot, ioas => ioas with { IdleDomains = 7 })),
        ("a domain that is none", snapshot => Ioas(snapshot, ioas => ioas with { Domains = [null!] })),
        ("a domain of no IOMMU", snapshot => Domain(snapshot, domain => domain with { Iommu = "none" })),
        ("a domain of an IOMMU without a name", snapshot => Domain(snapshot, domain => domain with { Iommu = null! })),
        ("a domain without an aperture", snapshot => Domain(snapshot, domain => domain with { ApertureStart = 5, ApertureLast = 4 })),
        ("a domain whose aperture leaves out what is mapped", snapshot => Domain(snapshot, domain => domain with { ApertureStart = 0, ApertureLast = 4095 })),
        ("a domain with pages of 3 bytes", snapshot => Domain(snapshot, domain => domain with { PageSize = 3 })),
        ("a domain that can't track and does", snapshot => Domain(snapshot, domain => domain with { CanTrackDirty = false, TracksDirty = true })),
        ("dirty pages without bits", snapshot => Domain(snapshot, domain => domain with { CanTrackDirty = true, DirtyWords = Column(1), DirtyBits = Column(0) })),
        ("dirty pages twice", snapshot => Domain(snapshot, domain => domain with { CanTrackDirty = true, DirtyWords = Column(1, 1), DirtyBits = Column(1, 1) })),
        ("pins of nothing", snapshot => Ioas(snapshot, ioas => ioas with { Accesses = ioas.Accesses! with { Ranges = RangesSnapshot.Of([new IovaRange(0, 4095)]) } })),
        ("pins without ranges", snapshot => Ioas(snapshot, ioas => ioas with { Accesses = ioas.Accesses! with { Ranges = null } })),
        ("an access twice", snapshot => Ioas(snapshot, ioas => ioas with { Accesses = new AccessesSnapshot { Ids = Column(5, 5), NeedPinPages = Column(0, 1), PinCounts = Column(0, 0) } })),
        ("accesses that the table does not know", snapshot => Table(snapshot, table => table with { PinningAccesses = 0 })),
        ("less than no accesses", snapshot => Table(snapshot, table => table with { PinningAccesses = -1 })),
        ("a reserved range that is mapped", snapshot => Table(snapshot, table => table with { Reserved = RangesSnapshot.Of([IovaRange.All]) with { Owners = Column(0) } })),
        ("a reserved range that nobody knows of", snapshot => Table(snapshot, table => table with { Reserved = RangesSnapshot.Of([new IovaRange(1, 2)]) })),
        ("a range without an end", snapshot => Table(snapshot, table => table with { Reserved = new RangesSnapshot { Starts = Column(9), Spans = Column(ulong.MaxValue), Owners = Column(0) } })),
        ("allowed ranges that overlap", snapshot => Table(snapshot, table => table with { Allowed = RangesSnapshot.Of([new IovaRange(1, 5), new IovaRange(3, 9)]) })),
        ("an allowed range that is reserved", snapshot => Table(snapshot, table => table with { Allowed = RangesSnapshot.Of([new IovaRange(1, 5)]) })),
        ("areas that overlap", snapshot => Areas(snapshot, areas => areas with { Starts = Column(TestDevices.ApertureStart, TestDevices.ApertureStart) })),
        ("areas that descend", snapshot => Areas(snapshot, areas => areas with { Starts = Column([.. Numbers(areas.Starts).Reverse()]) })),
        ("an area without bytes", snapshot => Areas(snapshot, areas => areas with { Lengths = Column(0, 0) })),
        ("an area without an end", snapshot => Areas(snapshot, areas => areas with { Lengths = Column(0x1000, ulong.MaxValue) })),
        ("an area behind its pages", snapshot => Areas(snapshot, areas => areas with { StartBytes = Column(0x100_0000, 0) })),
        ("an area that does what none can", snapshot => Areas(snapshot, areas => areas with { Prots = Column(99, 99) })),
        ("an area that ends within a page", snapshot => Areas(snapshot, areas => areas with { StartBytes = Column(1, 1) })),
        ("an area of no pages", snapshot => Areas(snapshot, areas => areas with { PagesOf = Column(0, 9) })),
        ("areas without pages", snapshot => Areas(snapshot, areas => areas with { Pages = null })),
        ("pages of no file", snapshot => Areas(snapshot, areas => areas with { Pages = areas.Pages! with { Files = null } })),
        ("pages of a file without a name", snapshot => Areas(snapshot, areas => areas with { Pages = areas.Pages! with { Files = [null!] } })),
        ("pages that can't be pinned and are", snapshot => Areas(snapshot, areas => areas with { Pages = areas.Pages! with { Unpinnable = Column(1, 1) } })),
        ("pages that begin within one", snapshot => Areas(snapshot, areas => areas with { Pages = areas.Pages! with { Starts = Column(1, 2) } })),
    ];

    public static TheoryData<string> Names => [.. Damages.Select(damage => damage.Name)];

    [Theory]
    [MemberData(nameof(Names))]
    public void It_says_so(string name)
    {
        var snapshot = Damages.Single(damage => damage.Name == name).Damage(Sound().CaptureSnapshot());
        var exception = Assert.Throws<InvalidDataException>(() => OpenContext.Restore(Serialization.Serializer.SerializeToArray(snapshot)));
        Expect.That(exception.Message.StartsWith("The snapshot is invalid: ", StringComparison.Ordinal), $"With {name}: {exception.Message}");
    }

    [Fact]
    public void What_is_damaged_here_is_sound_before() => GraphInvariants.CheckUsers(OpenContext.Restore(Sound().Capture()), "of what is not damaged");

    [Fact]
    public void A_byte_that_is_another_is_found_out_or_does_no_harm()
    {
        var bytes = Sound().Capture();
        var random = new Random(1);
        var (unreadable, found, harmless) = (0, 0, 0);
        for (var round = 0; round < 20_000; round++)
        {
            var damaged = bytes.ToArray();
            damaged[random.Next(damaged.Length)] ^= (byte)(1 << random.Next(8));
            try
            {
                Serialization.Serializer.Deserialize<ContextSnapshot>(damaged);
            }
            catch (Exception)
            {
                unreadable++;
                continue;
            }

            try
            {
                var again = OpenContext.Restore(damaged);
                Expect.That(!again.ObjectGrains.HasLost, $"A grain failed in a way that nobody expects, round {round}.");
                GraphInvariants.CheckUsers(again, $"of round {round}");
                again.Capture();
                harmless++;
            }
            catch (InvalidDataException)
            {
                found++;
            }
        }

        Expect.That(unreadable > 1000 && found > 1000 && harmless > 1000, $"{unreadable} were unreadable, {found} found out, {harmless} harmless.");
    }

    [Fact]
    public async Task A_journal_with_such_a_snapshot_is_damaged_and_leaves_no_grain_behind()
    {
        var context = Sound();
        var grains = new FakeGrains();
        var damaged = Damages.Single(damage => damage.Name == "a state of another kind of object").Damage(context.CaptureSnapshot());
        var recovered = await RecoverAsync(context, Serialization.Serializer.SerializeToArray(damaged), grains);
        Expect.Equal(DiagnosticReason.JournalDamaged, recovered.Damage?.Reason, "what is wrong with the journal");

        damaged = Damages.Single(damage => damage.Name == "an area of no pages").Damage(context.CaptureSnapshot());
        recovered = await RecoverAsync(context, Serialization.Serializer.SerializeToArray(damaged), grains);
        Expect.Equal((null, null, DiagnosticReason.JournalDamaged), (recovered.Context, recovered.Grains, recovered.Damage?.Reason), "what is left");
        Expect.Sequence(["Restore", "Destroy"], grains[grains.Keys.Single()].Calls.Select(call => call.Call), "the calls of the grain");
    }

    [Fact]
    public void It_is_known_as_such_when_a_grain_of_another_silo_says_so()
        => Expect.Equal("The snapshot is invalid: why.", Assert.IsType<InvalidDataException>(SnapshotFormat.Of("why.").RoundTrip()).Message, "the message");

    [Fact]
    public async Task A_grain_that_fails_while_a_journal_is_read_is_no_damage()
    {
        var context = Sound();
        var grains = new FakeGrains();
        grains.Factory.GetGrain<IIoasGrain>($"{context.Key}/1");
        grains[$"{context.Key}/1"].Failure = new TimeoutException("no answer");
        var recovered = await RecoverAsync(context, context.Capture(), grains);
        Expect.Equal((null, true), (recovered.Damage, recovered.Grains?.HasLost), "what is wrong with the journal, and whether something is lost");
    }

    // Two IOASes; the first has two areas, a domain, a device with a group of its own, one of the selftest, and an access with a pin; a
    // driver holds the second.
    private static OpenContext Sound()
    {
        var context = new OpenContext();
        var driver = context.Driver("vfio");
        var (ioas, other) = (context.AllocateIoas(), context.AllocateIoas());
        context.Map(ioas, TestDevices.ApertureStart, 0x1000);
        var file = new IommuIoasMapFile { Size = 40, Flags = 5, IoasId = ioas, Length = 0x2000, Iova = TestDevices.ApertureStart + 0x4000 };
        Expect.Equal(
            Errno.None,
            context.Run(new IoctlRequest
            {
                Command = (uint)IommuCommand.IoasMapFile,
                Argument = UapiStruct.ToBytes(in file),
                WritableBytes = 40,
                File = new UserFile("file", true, 0x2000),
            }).Errno,
            "mapping a file");
        var device = context.Bind(driver, "device", null, new IovaRange(0x300_0000, 0x300_0FFF));
        context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(ioas)));
        context.TryMockDomain(ioas);
        var access = context.AskOk(driver, new CreateAccessRequest(true));
        context.AskOk(driver, new AttachAccessRequest(access, new ObjectId(ioas)));
        context.AskOk(driver, new PinPagesRequest(access, TestDevices.ApertureStart, 0x1000, Write: true));
        context.Hold(driver, new ObjectId(other));
        Expect.Equal(1, context.CaptureSnapshot().States!.Length, "states of grains");
        return context;
    }

    private static async Task<RecoveredContext> RecoverAsync(OpenContext context, byte[] snapshot, FakeGrains grains)
    {
        var journal = new SnapshotJournal(JournalFrame.Encode(context.Key.Value, 7, snapshot));
        var recovery = new ContextRecovery(journal, Serialization.Serializer, new ObjectReach(grains.Factory, null), NullLogger.Instance, snapshotAfterBytes: 1000);
        return (await recovery.RecoverAsync(context.Key, CancellationToken.None))!;
    }

    private static DeltaColumn Column(params ulong[] numbers)
    {
        var writer = new ColumnWriter();
        Array.ForEach(numbers, writer.Add);
        return writer.ToColumn();
    }

    private static ulong[] Numbers(DeltaColumn column)
    {
        var (reader, numbers) = (column.Read(), new List<ulong>());
        while (reader.TryNext(out var number))
        {
            numbers.Add(number);
        }

        return [.. numbers];
    }

    private static uint IdOf<T>(ContextSnapshot snapshot)
        where T : EntrySnapshot
    {
        // The entries with data, in the order of the data.
        var withData = Numbers(snapshot.Entries.Kinds).Zip(Numbers(snapshot.Entries.Ids)).Where(entry => entry.First % 2 == 1).ToList();
        return (uint)withData[Array.FindIndex(snapshot.Entries.Data!, data => data is T)].Second;
    }

    private static ContextSnapshot Replies(ContextSnapshot snapshot, ReplaySnapshot replies)
        => snapshot with { References = [snapshot.References[0] with { Session = 5, Replies = replies }, .. snapshot.References[1..]] };

    private static ContextSnapshot Entries(ContextSnapshot snapshot, Func<EntriesSnapshot, EntriesSnapshot> damage) => snapshot with { Entries = damage(snapshot.Entries) };

    private static ContextSnapshot Data<T>(ContextSnapshot snapshot, Func<T, T> damage)
        where T : EntrySnapshot
        => Entries(snapshot, entries => entries with { Data = Array.ConvertAll(entries.Data!, data => data is T one ? damage(one) : data) });

    private static ContextSnapshot Holds(ContextSnapshot snapshot, Func<HoldsSnapshot, HoldsSnapshot> damage) => snapshot with { Holds = damage(snapshot.Holds!) };

    private static ContextSnapshot Ioas(ContextSnapshot snapshot, Func<IoasSnapshot, IoasSnapshot> damage)
        => snapshot with { States = [damage((IoasSnapshot)snapshot.States![0])] };

    private static ContextSnapshot Domain(ContextSnapshot snapshot, Func<DomainSnapshot, DomainSnapshot> damage)
        => Ioas(snapshot, ioas => ioas with { Domains = Array.ConvertAll(ioas.Domains!, domain => damage(domain)) });

    private static ContextSnapshot Table(ContextSnapshot snapshot, Func<TableSnapshot, TableSnapshot> damage) => Ioas(snapshot, ioas => ioas with { Table = damage(ioas.Table!) });

    private static ContextSnapshot Areas(ContextSnapshot snapshot, Func<AreasSnapshot, AreasSnapshot> damage)
        => Table(snapshot, table => table with { Areas = damage(table.Areas!) });

    /// <summary>A journal that has a snapshot and no record behind it, and takes no write.</summary>
    private sealed class SnapshotJournal(byte[] snapshot) : IJournal, IJournalStore
    {
        public IJournalStore Store => this;

        public string Owner => "test";

        public string Description => "one snapshot";

        public Task<JournalHead?> AcquireAsync(ContextKey key, string owner, CancellationToken cancellationToken)
            => Task.FromResult<JournalHead?>(new JournalHead(2, 7, snapshot, null));

        public Task<IReadOnlyList<JournalEntry>> ReadAsync(ContextKey key, long after, int maxBytes, CancellationToken cancellationToken)
            => Task.FromResult<IReadOnlyList<JournalEntry>>([]);

        public ValueTask<JournalOutcome> WriteAsync(JournalWrite write) => throw new NotSupportedException();

        public Task InitializeAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<long?> CreateAsync(ContextKey key, string owner, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<JournalOutcome[]> CommitAsync(IReadOnlyList<JournalWrite> writes, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<IReadOnlyList<JournalInfo>> ListAsync(ContextKey? after, int limit, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task<int> PurgeAsync(TimeSpan age, CancellationToken cancellationToken) => throw new NotSupportedException();

        public Task ProbeAsync(CancellationToken cancellationToken) => throw new NotSupportedException();

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
