using System.Diagnostics;
using IommuFd.Uapi;

namespace IommuFd.Linearizability;

// Clients share a context and draw from few ids and few IOVAs, so that nearly every ioctl concerns something that another client has just
// changed. A client remembers what its own ioctls created. Other clients may have destroyed those objects since, and the ids may belong to
// others by now: that is the point.

/// <summary>One client's random ioctls on a shared context, all of them known to <see cref="ContextSpecification"/>.</summary>
internal sealed class IoctlMix
{
    /// <summary>The highest id that is drawn. Only a few more objects than this are ever alive.</summary>
    public const int MostIds = 8;

    /// <summary>The minimum pages of the caller's memory: the longest mapping, and as many other places for it to start.</summary>
    public const int LeastPages = 2 * LongestPages;

    private const int LongestPages = 4;
    private const int Places = 8;
    private const int DestroysWhenCrowded = 4;
    private const ulong Page = 4096;
    private const ulong ApertureStart = 1UL << 24;

    private readonly Random _random;
    private readonly ulong _memory;
    private readonly int _pages;
    private readonly Dictionary<uint, Kind> _made = [];
    private readonly (int Weight, Func<Ioctl> Draw)[] _mix;
    private readonly Stack<uint> _surplus = [];
    private int _crowded;

    /// <summary>Creates a client's mix.</summary>
    /// <param name="seed">Decides what is drawn, together with what the client learns.</param>
    /// <param name="memory">The page-aligned address of the caller's memory, from which MAP maps. Must be the same for all clients, or
    /// their CHECK_MAPs check little.</param>
    /// <param name="pages">Its pages, at least <see cref="LeastPages"/>, all readable and writable.</param>
    public IoctlMix(int seed, ulong memory, int pages)
    {
        ArgumentOutOfRangeException.ThrowIfNotEqual(memory % Page, 0UL);
        ArgumentOutOfRangeException.ThrowIfLessThan(pages, LeastPages);
        _random = new Random(seed);
        _memory = memory;
        _pages = pages;
        _mix =
        [
            (7, () => Ioctl.Of(IommuCommand.IoasAlloc, new IommuIoasAlloc { Flags = Seldom(40) ? 1U : 0 })),
            (8, Destroy),
            (26, Map),
            (9, Unmap),
            (12, Copy),
            (7, Option),
            (5, MockDomain),
            (9, () => With(Kind.Selftest, Replace)),
            (5, () => With(Kind.Device, HwptAlloc)),
            (9, () => With(Kind.Hwpt, CheckMap)),
        ];
    }

    private enum Kind
    {
        Ioas,
        Hwpt,
        Device,
        Selftest,
    }

    /// <summary>The next ioctl.</summary>
    public Ioctl Next()
    {
        if (_surplus.TryPop(out var surplus))
        {
            return Ioctl.Of(IommuCommand.Destroy, new IommuDestroy { Id = surplus });
        }

        if (_crowded > 0)
        {
            _crowded--;
            return Destroy();
        }

        var drawn = _random.Next(_mix.Sum(row => row.Weight));
        foreach (var (weight, draw) in _mix)
        {
            drawn -= weight;
            if (drawn < 0)
            {
                return draw();
            }
        }

        throw new UnreachableException("The draw is below the sum of the weights.");
    }

    /// <summary>
    /// Learns from the answer to one of the client's ioctls. A client that learns nothing draws ids blindly, and lets objects pile up.
    /// </summary>
    public void Learn(Ioctl ioctl, IoctlAnswer answer)
    {
        if (answer.Errno == Errno.None)
        {
            switch ((IommuCommand)ioctl.Command)
            {
                case IommuCommand.Destroy:
                    _made.Remove(UapiStruct.Read<IommuDestroy>(ioctl.Argument).Id);
                    break;

                case IommuCommand.IoasAlloc:
                    Remember(UapiStruct.Read<IommuIoasAlloc>(answer.Argument).OutIoasId, Kind.Ioas);
                    break;

                case IommuCommand.HwptAlloc:
                    Remember(UapiStruct.Read<IommuHwptAlloc>(answer.Argument).OutHwptId, Kind.Hwpt);
                    break;

                case IommuCommand.TestCmd when UapiStruct.Read<IommuTestCmd>(answer.Argument) is { Op: (uint)IommuTestOp.MockDomain, Fields: var fields }:
                    var made = fields.As<IommuTestMockDomain>();
                    Remember(made.OutHwptId, Kind.Hwpt);
                    Remember(made.OutIdevId, Kind.Device);
                    Remember(made.OutStdevId, Kind.Selftest);
                    break;

                case IommuCommand.TestCmd when UapiStruct.Read<IommuTestCmd>(answer.Argument) is { Op: (uint)IommuTestOp.MockDomainReplace, Fields: var fields }:
                    Remember(fields.As<IommuTestMockDomainReplace>().PtId, Kind.Hwpt);
                    break;
            }
        }
        else if (answer.Errno == Errno.ENOENT)
        {
            _made.Remove(Subject(ioctl));
        }
    }

    // The first object that an ioctl names, which is usually the missing one.
    private static uint Subject(Ioctl ioctl) => (IommuCommand)ioctl.Command switch
    {
        IommuCommand.Destroy => UapiStruct.Read<IommuDestroy>(ioctl.Argument).Id,
        IommuCommand.IoasMap => UapiStruct.Read<IommuIoasMap>(ioctl.Argument).IoasId,
        IommuCommand.Option => UapiStruct.Read<IommuOption>(ioctl.Argument).ObjectId,
        IommuCommand.HwptAlloc => UapiStruct.Read<IommuHwptAlloc>(ioctl.Argument).DevId,
        IommuCommand.TestCmd => UapiStruct.Read<IommuTestCmd>(ioctl.Argument).Id,
        _ => 0,
    };

    private static Ioctl Test<T>(IommuTestOp op, uint id, in T fields)
        where T : unmanaged
        => Ioctl.Of(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(in fields) });

    // An id that is too high means that the context is crowded. No other client draws that id, so this one destroys it at once. A device
    // goes with its owner.
    private void Remember(uint id, Kind kind)
    {
        _made[id] = kind;
        if (id > MostIds)
        {
            _crowded = DestroysWhenCrowded;
            if (kind != Kind.Device)
            {
                _surplus.Push(id);
            }
        }
    }

    // An owner takes its device and usually a page table along; what they held can be destroyed then.
    private Ioctl Destroy() => Ioctl.Of(IommuCommand.Destroy, new IommuDestroy { Id = _random.Next(4) switch { 0 => Of(Kind.Selftest), 1 => Of(Kind.Ioas), _ => Any() } });

    private Ioctl Map()
    {
        var place = _random.Next(Places);
        var offset = Seldom(16) ? 0x400UL * (ulong)_random.Next(1, 3) : 0;
        return Ioctl.Of(IommuCommand.IoasMap, new IommuIoasMap
        {
            Flags = Flags(),
            IoasId = Of(Kind.Ioas),
            UserVa = MemoryFor(place) + offset,
            Length = (Page * (ulong)_random.Next(1, LongestPages + 1)) - offset,
            Iova = IovaOf(place) + (Seldom(24) ? 0x800UL : 0),
        });
    }

    // Ioctls on a device's objects need one: if the client knows none, it draws such ioctls seldom, or creates a device first.
    private Ioctl With(Kind kind, Func<Ioctl> draw) => _made.ContainsValue(kind) || Seldom(4) ? draw() : Seldom(3) ? MockDomain() : Map();

    private Ioctl MockDomain() => Test(IommuTestOp.MockDomain, PageTable(), default(IommuTestMockDomain));

    private Ioctl Replace() => Test(IommuTestOp.MockDomainReplace, Of(Kind.Selftest), new IommuTestMockDomainReplace { PtId = PageTable() });

    private Ioctl HwptAlloc() => Ioctl.Of(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = Of(Kind.Device), PtId = Seldom(6) ? Any() : Of(Kind.Ioas) });

    private Ioctl CheckMap()
    {
        var place = _random.Next(Places);
        return Test(IommuTestOp.MdCheckMap, Of(Kind.Hwpt), new IommuTestCheckMap
        {
            Iova = IovaOf(place),
            Length = Page * (ulong)_random.Next(1, 3),
            Uptr = MemoryFor(place),
        });
    }

    private Ioctl Unmap()
    {
        var cmd = new IommuIoasUnmap { IoasId = Of(Kind.Ioas), Iova = Iova(), Length = Page * (ulong)_random.Next(1, Places) };
        (cmd.Iova, cmd.Length) = _random.Next(30) switch
        {
            0 or 1 => (0UL, ulong.MaxValue),
            2 => (cmd.Iova, 0UL),
            3 => (cmd.Iova, ulong.MaxValue),
            4 => (ulong.MaxValue - Page, 2 * Page),
            5 or 6 => (0UL, cmd.Iova + cmd.Length),
            _ => (cmd.Iova, cmd.Length),
        };
        return Ioctl.Of(IommuCommand.IoasUnmap, cmd);
    }

    private Ioctl Copy() => Ioctl.Of(IommuCommand.IoasCopy, new IommuIoasCopy
    {
        Flags = Flags(),
        SrcIoasId = Of(Kind.Ioas),
        DstIoasId = Of(Kind.Ioas),
        Length = Page * (ulong)(Seldom(3) ? 2 : 1),
        SrcIova = Iova(),
        DstIova = Iova(),
    });

    private Ioctl Option()
    {
        var isRlimit = _random.Next(4) == 0;
        return Ioctl.Of(IommuCommand.Option, new IommuOption
        {
            OptionId = (uint)(isRlimit ? IommuOptionId.RlimitMode : IommuOptionId.HugePages),
            Op = (ushort)_random.Next(2),
            ObjectId = isRlimit ? 0 : Of(Kind.Ioas),
            Val64 = Seldom(20) ? 2UL : (ulong)_random.Next(2),
        });
    }

    private uint PageTable() => Seldom(12) ? Any() : Of(_random.Next(3) == 0 ? Kind.Hwpt : Kind.Ioas);

    // Usually an object of the wanted kind, if the client knows one.
    private uint Of(Kind kind)
    {
        var known = _made.Where(pair => pair.Value == kind).Select(pair => pair.Key).Order().ToArray();
        return known.Length > 0 && !Seldom(8) ? known[_random.Next(known.Length)] : Any();
    }

    private uint Any() => (uint)_random.Next(1, MostIds + 1);

    // Usually within the aperture of the selftest's IOMMU: a mapping below it keeps page tables from being attached.
    private ulong IovaOf(int place) => (Seldom(16) ? 0 : ApertureStart) + (Page * (ulong)place);

    private ulong Iova() => IovaOf(_random.Next(Places));

    // One of two addresses per place: a new mapping can be told from the old one, and is still hit often enough.
    private ulong MemoryFor(int place) => _memory + (Page * (ulong)((place + _random.Next(2)) % (_pages - LongestPages + 1)));

    private uint Flags() => (uint)(IommuIoasMapFlags.FixedIova | _random.Next(16) switch
    {
        0 => IommuIoasMapFlags.None,
        1 or 2 or 3 => IommuIoasMapFlags.Readable,
        4 => IommuIoasMapFlags.Writeable,
        _ => IommuIoasMapFlags.Readable | IommuIoasMapFlags.Writeable,
    });

    private bool Seldom(int of) => _random.Next(of) == 0;
}
