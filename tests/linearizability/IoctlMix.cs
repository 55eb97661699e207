using System.Diagnostics;
using System.Runtime.InteropServices;
using IommuFd.Uapi;

namespace IommuFd.Linearizability;

// Clients share a context and draw from few ids and few IOVAs, so that nearly every ioctl concerns something that another client has just
// changed. A client remembers what its own ioctls created. Other clients may have destroyed those objects since, and the ids may belong to
// others by now: that is the point.

/// <summary>One client's random ioctls on a shared context, all of them known to <see cref="ContextSpecification"/>.</summary>
internal sealed class IoctlMix
{
    /// <summary>The highest id that is drawn. Only a few more objects than this are ever alive.</summary>
    public const int MostIds = 16;

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
    private uint _virtId = 1;
    private uint _iotlb;

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
            (7, () => Unless(Kind.Ioas, AllocIoas, Map)),
            (8, Destroy),
            (26, () => With(Kind.Ioas, Map, AllocIoas)),
            (12, Unmap),
            (12, Copy),
            (7, Option),
            (5, MockDomain),
            (9, () => With(Kind.Selftest, Replace)),
            (5, () => With(Kind.Device, HwptAlloc)),
            (9, () => With(Kind.Hwpt, CheckMap)),
            (2, NestParent),
            (3, () => With(Kind.Device, Viommu)),
            (6, () => With(Kind.Device, Vdevice)),
            (4, () => With(Kind.Device, NestedHwpt)),
            (5, () => With(Kind.Device, () => With(Kind.NestedHwpt, Nest, NestedHwpt))),
            (6, () => With(Kind.NestedHwpt, () => Invalidate<IommuHwptInvalidateSelftest>(Kind.NestedHwpt), NestedHwpt)),
            (6, () => With(Kind.Vdevice, () => Invalidate<IommuViommuInvalidateSelftest>(Kind.Viommu), Vdevice)),
            (6, () => With(Kind.NestedHwpt, CheckIotlb, NestedHwpt)),
            (5, () => With(Kind.Vdevice, CheckCache, Vdevice)),
        ];
    }

    private enum Kind
    {
        Ioas,
        Hwpt,
        Device,
        Selftest,
        NestParent,
        NestedHwpt,
        Viommu,
        Vdevice,
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
            if (KindOfSubject(ioctl) is { } kind)
            {
                _made.TryAdd(Subject(ioctl), kind);
            }

            switch ((IommuCommand)ioctl.Command)
            {
                case IommuCommand.Destroy:
                    _made.Remove(UapiStruct.Read<IommuDestroy>(ioctl.Argument).Id);
                    break;

                case IommuCommand.IoasAlloc:
                    Remember(UapiStruct.Read<IommuIoasAlloc>(answer.Argument).OutIoasId, Kind.Ioas);
                    break;

                case IommuCommand.HwptAlloc when UapiStruct.Read<IommuHwptAlloc>(answer.Argument) is var hwpt:
                    Remember(hwpt.OutHwptId, hwpt.DataLen > 0 ? Kind.NestedHwpt : hwpt.Flags != 0 ? Kind.NestParent : Kind.Hwpt);
                    _iotlb = hwpt.DataLen > 0 ? UapiStruct.Read<uint>(CallerStructs.Read(hwpt.DataUptr, sizeof(uint))) : _iotlb;
                    break;

                case IommuCommand.ViommuAlloc:
                    Remember(UapiStruct.Read<IommuViommuAlloc>(answer.Argument).OutViommuId, Kind.Viommu);
                    break;

                case IommuCommand.VdeviceAlloc when UapiStruct.Read<IommuVdeviceAlloc>(answer.Argument) is var vdevice:
                    Remember(vdevice.OutVdeviceId, Kind.Vdevice);
                    _virtId = (uint)vdevice.VirtId;
                    break;

                case IommuCommand.TestCmd when UapiStruct.Read<IommuTestCmd>(answer.Argument) is { Op: (uint)IommuTestOp.MockDomain, Fields: var fields }:
                    var made = fields.As<IommuTestMockDomain>();
                    Remember(made.OutHwptId, Kind.Hwpt);
                    Remember(made.OutIdevId, Kind.Device);
                    Remember(made.OutStdevId, Kind.Selftest);
                    break;

                case IommuCommand.TestCmd when UapiStruct.Read<IommuTestCmd>(answer.Argument) is { Op: (uint)IommuTestOp.MockDomainReplace, Fields: var fields }:
                    _made.TryAdd(fields.As<IommuTestMockDomainReplace>().PtId, Kind.Hwpt);
                    break;
            }
        }
        else if (answer.Errno == Errno.ENOENT)
        {
            _made.Remove(Subject(ioctl));
        }
    }

    // What the first object is that an ioctl names and that has succeeded: it may be another client's, drawn blindly.
    private static Kind? KindOfSubject(Ioctl ioctl) => (IommuCommand)ioctl.Command switch
    {
        IommuCommand.IoasMap => Kind.Ioas,
        IommuCommand.HwptAlloc or IommuCommand.ViommuAlloc => Kind.Device,
        IommuCommand.VdeviceAlloc => Kind.Viommu,
        IommuCommand.TestCmd => (IommuTestOp)UapiStruct.Read<IommuTestCmd>(ioctl.Argument).Op switch
        {
            IommuTestOp.MdCheckMap => Kind.Hwpt,
            IommuTestOp.MdCheckIotlb => Kind.NestedHwpt,
            IommuTestOp.DevCheckCache => Kind.Device,
            _ => null,
        },
        _ => null,
    };

    // The first object that an ioctl names, which is usually the missing one.
    private uint Subject(Ioctl ioctl) => (IommuCommand)ioctl.Command switch
    {
        IommuCommand.Destroy => UapiStruct.Read<IommuDestroy>(ioctl.Argument).Id,
        IommuCommand.IoasMap => UapiStruct.Read<IommuIoasMap>(ioctl.Argument).IoasId,
        IommuCommand.Option => UapiStruct.Read<IommuOption>(ioctl.Argument).ObjectId,
        IommuCommand.HwptAlloc => UapiStruct.Read<IommuHwptAlloc>(ioctl.Argument).DevId,
        IommuCommand.HwptInvalidate => UapiStruct.Read<IommuHwptInvalidate>(ioctl.Argument).HwptId,
        IommuCommand.ViommuAlloc => UapiStruct.Read<IommuViommuAlloc>(ioctl.Argument).DevId,
        IommuCommand.VdeviceAlloc => UapiStruct.Read<IommuVdeviceAlloc>(ioctl.Argument).ViommuId,
        // Where the page table is a guest's, it is usually the vDevice that is missing.
        IommuCommand.TestCmd when UapiStruct.Read<IommuTestCmd>(ioctl.Argument) is { Op: (uint)IommuTestOp.MockDomainReplace, Fields: var fields }
            && _made.GetValueOrDefault(fields.As<IommuTestMockDomainReplace>().PtId) == Kind.NestedHwpt => 0,
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

    // An owner takes its device and usually a page table along; what they held can be destroyed then. A vDevice should go before: if it goes with its device,
    // its id is lost for ever.
    private Ioctl Destroy() => Ioctl.Of(IommuCommand.Destroy, new IommuDestroy
    {
        Id = _random.Next(6) switch
        {
            0 => Of(_made.ContainsValue(Kind.Vdevice) && !Seldom(8) ? Kind.Vdevice : Kind.Selftest),
            1 => Of(Kind.Ioas),
            2 => Of(Kind.NestedHwpt),
            3 => Of(_made.ContainsValue(Kind.Viommu) ? Kind.Viommu : Kind.NestParent),
            _ => Any(),
        },
    });

    private Ioctl AllocIoas() => Ioctl.Of(IommuCommand.IoasAlloc, new IommuIoasAlloc { Flags = Seldom(40) ? 1U : 0 });

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

    // Ioctls on a device's objects need one: if the client knows none, it draws such ioctls seldom, or creates a device first. Likewise what a guest has.
    private Ioctl With(Kind kind, Func<Ioctl> draw) => _made.ContainsValue(kind) || Seldom(4) ? draw() : Seldom(2) ? MockDomain() : With(Kind.Ioas, Map, AllocIoas);

    private Ioctl With(Kind kind, Func<Ioctl> draw, Func<Ioctl> create) => _made.ContainsValue(kind) || Seldom(16) ? draw() : create();

    // More than one object of a kind that a client knows crowds the context.
    private Ioctl Unless(Kind kind, Func<Ioctl> create, Func<Ioctl> use) => !_made.ContainsValue(kind) || Seldom(8) ? create() : use();

    private Ioctl MockDomain() => Unless(Kind.Device, () => Test(IommuTestOp.MockDomain, PageTable(), default(IommuTestMockDomain)), Replace);

    private Ioctl Replace() => Test(IommuTestOp.MockDomainReplace, Of(Kind.Selftest), new IommuTestMockDomainReplace { PtId = PageTable() });

    private Ioctl HwptAlloc() => Ioctl.Of(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = Of(Kind.Device), PtId = Seldom(6) ? Any() : Of(Kind.Ioas) });

    private Ioctl NestParent() => With(Kind.Device, () => Unless(Kind.NestParent, AllocNestParent, AllocNestedHwpt));

    private Ioctl AllocNestParent() => Ioctl.Of(IommuCommand.HwptAlloc, new IommuHwptAlloc
    {
        Flags = (uint)(Seldom(16) ? (IommuHwptAllocFlags)0x80 : IommuHwptAllocFlags.NestParent | (Seldom(4) ? IommuHwptAllocFlags.DirtyTracking : 0)),
        DevId = Of(Kind.Device),
        PtId = Of(Kind.Ioas),
    });

    private Ioctl NestedHwpt() => With(Kind.NestParent, () => Unless(Kind.NestedHwpt, AllocNestedHwpt, Nest), NestParent);

    private Ioctl AllocNestedHwpt() => Ioctl.Of(IommuCommand.HwptAlloc, new IommuHwptAlloc
    {
        Flags = Seldom(16) ? 0x80U : Seldom(4) ? (uint)IommuHwptAllocFlags.Pasid : 0,
        DevId = Of(Kind.Device),
        PtId = Seldom(12) ? Of(Kind.Ioas) : Of(_random.Next(2) == 0 && _made.ContainsValue(Kind.Viommu) ? Kind.Viommu : Kind.NestParent),
        DataType = (uint)(Seldom(16) ? IommuHwptDataType.None : Seldom(16) ? (IommuHwptDataType)1 : IommuHwptDataType.Selftest),
        DataLen = _random.Next(20) switch { 0 => 0, 1 => 2, 2 => 4, 3 => 12, _ => 8 },
        DataUptr = CallerStructs.AddressOf<IommuHwptSelftest>(_random.Next(CallerStructs.CountOf<IommuHwptSelftest>())),
    });

    private Ioctl Viommu() => With(Kind.NestParent, () => Unless(Kind.Viommu, AllocViommu, AllocVdevice), NestParent);

    private Ioctl AllocViommu() => Ioctl.Of(IommuCommand.ViommuAlloc, new IommuViommuAlloc
    {
        Flags = Seldom(24) ? 1U : 0,
        Type = (uint)(Seldom(16) ? (IommuViommuType)_random.Next(2) : IommuViommuType.Selftest),
        DevId = Of(Kind.Device),
        HwptId = Of(Seldom(12) ? Kind.Hwpt : Kind.NestParent),
    });

    private Ioctl Vdevice() => With(Kind.Viommu, AllocVdevice, Viommu);

    private Ioctl AllocVdevice() => Ioctl.Of(IommuCommand.VdeviceAlloc, new IommuVdeviceAlloc
    {
        ViommuId = Of(Kind.Viommu),
        DevId = Of(Kind.Device),
        VirtId = (uint)_random.Next((int)CallerStructs.VirtIds) + 1,
    });

    // Attaches a device to a guest's page table.
    private Ioctl Nest() => Test(IommuTestOp.MockDomainReplace, Of(Kind.Selftest), new IommuTestMockDomainReplace { PtId = Of(Kind.NestedHwpt) });

    private Ioctl Invalidate<T>(Kind kind)
        where T : unmanaged
    {
        var first = Seldom(4) ? _random.Next(CallerStructs.CountOf<T>()) : kind == Kind.Viommu ? ((int)_virtId - 1) * 3 : _random.Next(4);
        return Ioctl.Of(IommuCommand.HwptInvalidate, new IommuHwptInvalidate
        {
            HwptId = Of(kind),
            DataUptr = Seldom(24) ? 0 : CallerStructs.AddressOf<T>(first),
            DataType = Seldom(24) ? 1U : (uint)IommuHwptInvalidateDataType.Selftest,
            EntryLen = (uint)(Marshal.SizeOf<T>() + (Seldom(6) ? sizeof(uint) * _random.Next(1, 3) : 0)),
            EntryNum = (uint)_random.Next(Seldom(4) ? 0 : 1, 4),
            Reserved = Seldom(40) ? 1U : 0,
        });
    }

    // A success and a failure both tell whether the entry was invalidated.
    private Ioctl CheckIotlb() => Test(IommuTestOp.MdCheckIotlb, Of(Kind.NestedHwpt), new IommuTestCheckIotlb
    {
        Id = CacheEntry(),
        Iotlb = _random.Next(2) == 0 ? 0 : _iotlb,
    });

    private Ioctl CheckCache() => Test(IommuTestOp.DevCheckCache, Of(Kind.Device), new IommuTestCheckDevCache
    {
        Id = CacheEntry(),
        Cache = _random.Next(2) == 0 ? 0 : ContextSpecification.DeviceCache,
    });

    private uint CacheEntry() => (uint)(Seldom(24) ? 4 : _random.Next(4));

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

    private uint PageTable() => Seldom(12) ? Any() : Of(_random.Next(3) != 0 ? Kind.Ioas : Seldom(4) ? Kind.NestParent : Kind.Hwpt);

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
