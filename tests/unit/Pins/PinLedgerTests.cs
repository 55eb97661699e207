using IommuFd.GrainInterfaces;
using IommuFd.Grains.IoPagetable;
using IommuFd.Grains.IoPagetable.Pins;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Pins;

/// <summary>What a context has pinned, compared step by step with a set that has each page once.</summary>
public sealed class PinLedgerTests
{
    private const ulong Page = 0x1000;
    private const ulong Aperture = 0x100_0000;
    private const ulong Memory = 0x7F00_0000_0000;
    private const int Places = 24;
    private const IommuIoasMapFlags Fixed = IommuIoasMapFlags.FixedIova | IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable;

    private static readonly ObjectId Access = new(7);
    private static readonly DeviceDescription Device = new() { Name = "device" };

    private static readonly PagesOrigin[] Origins =
    [
        default,
        new(new MemorySource(GrainId.Create("sys.client", "program"), 1), null),
        new(new MemorySource(GrainId.Create("sys.client", "program"), 1), null, PinAccount.User),
        new(new MemorySource(GrainId.Create("sys.client", "program"), 2), null, PinAccount.Process),
    ];

    private readonly IoasModel[] _ioases = [new(1), new(2), new(3)];
    private readonly PinCount[][] _told = [[], [], []];
    private readonly PinLedger _ledger = new();
    private MemorySource? _mover;
    private uint _lastPin;

    [Theory]
    [InlineData(1)]
    [InlineData(2)]
    [InlineData(3)]
    [InlineData(4)]
    [InlineData(5)]
    public void Each_pinned_page_counts_once_whoever_pins_it(int seed)
    {
        var random = new Random(seed);
        var most = 0L;
        foreach (var ioas in _ioases)
        {
            Expect.Equal(Errno.None, ioas.Change([new AddAccess(Access, NeedsPinPages: false)], out _), "an access");
        }

        for (var step = 0; step < 3_000; step++)
        {
            var which = random.Next(_ioases.Length);
            var what = Step(random, which);
            for (var i = 0; i < _ioases.Length; i++)
            {
                Tell(i);
            }

            // Where all IOASes have told of their pages, what is left is moved at once.
            if (what.StartsWith("move", StringComparison.Ordinal))
            {
                _ledger.Move(_mover);
            }

            Expect.Sequence(Expected(), _ledger.Owners.Select(owner => (owner.Owner, owner.Pages)).OrderBy(owner => owner.ToString(), StringComparer.Ordinal), $"pages by owner after step {step}, {what} in IOAS {which}");
            Expect.Equal(_ledger.Owners.Sum(owner => owner.Pages), _ledger.Total, $"pages in all after step {step}");
            most = Math.Max(most, _ledger.Total);
        }

        Expect.That(most > Places, $"At most {most} pages were pinned.");
        for (var i = 0; i < _ioases.Length; i++)
        {
            _ioases[i].Change([new RemoveAccess(Access), .. _ioases[i].Domains.Keys.Select(hwpt => new RemoveDomain(hwpt))], out _);
            Tell(i);
        }

        Expect.Equal(0L, _ledger.Total, "pages when all is detached");
    }

    [Fact]
    public void A_price_is_what_would_be_pinned_and_changes_nothing()
    {
        Map(0, 0, 4, Origins[2]);
        Copy(0, 1, 0, 4, 8);
        AddDomain(0);
        Tell(0);
        Tell(1);

        var look = new PinLook(new PinFacts(long.MaxValue));
        Expect.Equal(Errno.None, _ioases[1].Change([new AllocateDomain(new ObjectId(9), Device, IommuHwptAllocFlags.None, null)], out _), "a domain");
        Expect.Equal(Errno.EAGAIN, _ioases[1].Change([new AddDomain(new ObjectId(9))], out _, look), "adding a domain to where the copy is");
        Expect.Equal(0, _ledger.PriceOf(look.Price!).Count(), "owners that pay, since all of it is pinned");

        Map(1, 12, 3, Origins[2]);
        look = new PinLook(new PinFacts(long.MaxValue));
        Expect.Equal(Errno.EAGAIN, _ioases[1].Change([new AddDomain(new ObjectId(9))], out _, look), "adding a domain");
        Expect.Sequence([3L], _ledger.PriceOf(look.Price!).Select(price => price.Pages), "what is paid for what is not pinned yet");
        Expect.Equal((4L, 0), (_ledger.Total, _ioases[1].Table.Domains.Count), "pages that are pinned, and domains");

        Expect.Equal(Errno.None, _ioases[1].Change([new AddDomain(new ObjectId(9))], out _, new PinLook(new PinFacts(long.MaxValue, Charge: PinCharge.Granted))), "adding it when that is charged");
        Tell(1);
        Expect.Equal(7L, _ledger.Total, "pages");
    }

    [Fact]
    public void A_move_costs_what_has_a_limit_and_is_another_programs()
    {
        Map(0, 0, 4, Origins[2]);
        Map(0, 4, 2, Origins[3]);
        Map(1, 8, 5, Origins[1]);
        AddDomain(0);
        AddDomain(1);
        Tell(0);
        Tell(1);
        Expect.Sequence(
            [(PinAccount.Process, 2L)], _ledger.PriceOfMove(Origins[2].Source).Select(price => (price.Owner.Account, price.Pages)), "what the program that has the four pages pays");
        Expect.Sequence(
            [(PinAccount.User, 4L)], _ledger.PriceOfMove(Origins[3].Source).Select(price => (price.Owner.Account, price.Pages)), "what the program that has the two pages pays");
        Expect.Equal(2, _ledger.PriceOfMove(null).Count(), "accounts of one that has none of them");
        Expect.Equal(11L, _ledger.Total, "pages, of which none has moved");
    }

    private string Step(Random random, int which)
    {
        var (ioas, place, length) = (_ioases[which], (ulong)random.Next(Places), (ulong)random.Next(1, 6));
        switch (random.Next(10))
        {
            case 9 when random.Next(4) == 0:
                _mover = Origins[random.Next(Origins.Length)].Source;
                Array.ForEach(_ioases, each => each.Table.ChangeSource(_mover));
                return $"move to {_mover}";
            case 0 or 1:
                Map(which, place, length, Origins[random.Next(Origins.Length)]);
                return $"map {place} {length}";
            case 2:
                var to = random.Next(_ioases.Length);
                Copy(which, to, place, length, (ulong)random.Next(Places));
                return $"copy {place} {length} to {to}";
            case 3:
                ioas.Table.Unmap(Aperture + (place * Page), length * Page, out _);
                return $"unmap {place} {length}";
            case 4:
                ioas.Table.DisableLargePages();
                ioas.Table.Cut([Aperture + (place * Page) + (random.Next(2) == 0 ? 0x7FFUL : 0xFFF)]);
                return $"cut {place}";
            case 5 when ioas.Domains.Count < 2:
                AddDomain(which);
                return "add domain";
            case 5 or 6 when ioas.Domains.Count > 0:
                ioas.Change([new RemoveDomain(ioas.Domains.Keys.First())], out _);
                return "remove domain";
            case 7:
                ioas.PinPages(new IoasAccessRequest(Access, Aperture + (place * Page), length * Page, 0), ++_lastPin, null, [], new PinLook(new PinFacts(long.MaxValue, Charge: PinCharge.Granted)));
                return $"pin {place} {length}";
            case 8 when random.Next(4) == 0:
                _ioases[which] = IoasModel.Restore(which + 1, ((IoasSnapshot)ioas.Save()).RoundTrip());
                Forget(which);
                return "restore";
            default:
                ioas.UnpinPages(Access, (uint)random.Next((int)_lastPin + 1));
                return "unpin";
        }
    }

    private void Map(int which, ulong place, ulong length, PagesOrigin origin)
    {
        var iova = Aperture + (place * Page);
        _ioases[which].Map(Fixed, Memory + (place * Page), length * Page, ulong.MaxValue, ulong.MaxValue, ref iova, origin);
    }

    private void Copy(int from, int to, ulong place, ulong length, ulong toPlace)
    {
        var slices = new List<PagesSlice>();
        var iova = Aperture + (toPlace * Page);
        if (_ioases[from].GetPages(Aperture + (place * Page), length * Page, slices) == Errno.None)
        {
            _ioases[to].MapPages(Fixed, slices.ToArray(), ref iova);
        }
    }

    private void AddDomain(int which)
    {
        var hwpt = new ObjectId(_ioases[which].Domains.ContainsKey(new ObjectId(20)) ? 21u : 20);
        _ioases[which].Change([new AllocateDomain(hwpt, Device, IommuHwptAllocFlags.None, null), new AddDomain(hwpt)], out _, new PinLook(new PinFacts(long.MaxValue, Charge: PinCharge.Granted)));
    }

    private void Tell(int which)
    {
        if (_ioases[which].TakePins() is { } tally)
        {
            _ledger.Take(_told[which], tally);
            _told[which] = tally.Own;
        }
    }

    // A restored IOAS tells all that it has, to a context that knows nothing yet: here, one that forgets the others too.
    private void Forget(int restored)
    {
        _ledger.Clear();
        for (var i = 0; i < _ioases.Length; i++)
        {
            _told[i] = [];
            _ioases[i] = i == restored ? _ioases[i] : IoasModel.Restore(i + 1, ((IoasSnapshot)_ioases[i].Save()).RoundTrip());
        }
    }

    private IEnumerable<(PinOwner, long)> Expected()
        => _ioases.SelectMany(ioas => ioas.Table.PinnedSlices(ioas.Accesses.Pins)).SelectMany(PagesOf).Distinct().GroupBy(page => page.Owner)
            .Select(pages => (pages.Key, (long)pages.Count())).OrderBy(owner => owner.ToString(), StringComparer.Ordinal);

    private static IEnumerable<(PinOwner Owner, PagesId Id, ulong Page)> PagesOf(PagesSlice slice)
    {
        for (var page = slice.Run.Start; page <= slice.Run.Last; page++)
        {
            yield return (PinOwner.Of(slice.Pages), slice.Pages.Id, page);
        }
    }
}
