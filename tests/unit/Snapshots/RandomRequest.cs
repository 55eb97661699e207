using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Dispatch;
using IommuFd.Grains.Inspection;
using IommuFd.Grains.Model;
using IommuFd.Grains.Objects.Accesses;
using IommuFd.Grains.Objects.Devices;
using IommuFd.Grains.Objects.Ioas;
using IommuFd.Uapi;
using IommuFd.UnitTests.Objects.Graph;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Snapshots;

/// <summary>
/// One random request, whatever a context can be asked: what <see cref="RandomStep"/> asks, and everything else that changes or shows what a snapshot has. Equal
/// contexts and equal random numbers make equal requests.
/// </summary>
internal static class RandomRequest
{
    private const ulong Page = 4096;
    private const ulong Memory = 0x7F00_0000_0000;

    public static (string Name, object Reply) Run(OpenContext context, ReferenceId driver, Random random)
    {
        var live = context.Objects.After(0).ToList();
        switch (random.Next(40))
        {
            case 0:
                return Of("huge pages", context.Run(IommuCommand.Option, new IommuOption
                {
                    OptionId = (uint)IommuOptionId.HugePages,
                    Op = (ushort)random.Next(2),
                    ObjectId = Id(ObjectType.Ioas),
                    Val64 = (ulong)random.Next(2),
                }));
            case 1:
                return Of("rlimit mode", context.Run(IommuCommand.Option, new IommuOption { Op = (ushort)random.Next(2), Val64 = (ulong)random.Next(3) }));
            case 2:
                return Of("allow", Allow(random.Next(3)));
            case 3 or 4:
                return Of("copy", context.Run(IommuCommand.IoasCopy, new IommuIoasCopy
                {
                    Flags = (uint)(IommuIoasMapFlags.Readable | (IommuIoasMapFlags)random.Next(4)),
                    DstIoasId = Id(ObjectType.Ioas),
                    SrcIoasId = Id(ObjectType.Ioas),
                    Length = Length(),
                    DstIova = Iova(),
                    SrcIova = Iova(),
                }));
            case 5 or 6:
                return Of("map file", MapFile());
            case 7:
                return Of("VFIO IOAS", context.Run(IommuCommand.VfioIoas, new IommuVfioIoas { IoasId = Id(ObjectType.Ioas), Op = (ushort)random.Next(3) }));
            case 8:
                return Of("IOVA ranges", context.Run(TestDevices.Request(
                    IommuCommand.IoasIovaRanges, new IommuIoasIovaRanges { Size = 32, IoasId = Id(ObjectType.Ioas), NumIovas = 8 }, new UserBuffer { Length = 128, WritableBytes = 128 })));
            case 9 when random.Next(4) == 0:
                return Of("reserve", Test(IommuTestOp.AddReserved, Id(ObjectType.Ioas), new IommuTestCheckMap { Iova = Iova() + (Page * 64), Length = Length() }));
            case 10 or 11:
                return Of("dirty tracking", context.Run(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = Id(ObjectType.HwptPaging), Flags = random.Next(4) == 0 ? 0U : 1 }));
            case 12 or 13:
                return Of("write", Write());
            case 14:
                return Of("dirty bitmap", context.Run(IommuCommand.HwptGetDirtyBitmap, new IommuHwptGetDirtyBitmap
                {
                    HwptId = Id(ObjectType.HwptPaging),
                    Flags = (uint)random.Next(2),
                    Iova = TestDevices.ApertureStart,
                    Length = Page * 64,
                    PageSize = Page / (ulong)random.Next(1, 3),
                }));
            case 15:
                return Of("hold", context.Ask(driver, new HoldObjectRequest(new ObjectId(Any()), ObjectType.Any, $"why {random.Next(3)}")));
            case 16 or 17:
                return Of("drop", context.Ask(driver, new DropHoldRequest(new HoldId(random.Next(40)))));
            case 18:
                return Of("memory limit", Test(IommuTestOp.SetTempMemoryLimit, 0, new IommuTestMemoryLimit { Limit = (uint)random.Next(1 << 20) }));
            case 19 when Accesses().FirstOrDefault(access => access.Ioas is not null) is { } access:
                return Of("read", context.Ask(OwnerOf(access), new AccessRwRequest(access.Id, Mapped(access.Ioas!), Page, random.Next(2) == 0)));
            case 20:
                return Of("check pins", Check(IommuTestOp.MdCheckRefs, 0, new IommuTestCheckRefs { Length = Length(), Uptr = Memory + Iova(), Refs = (uint)random.Next(3) }));
            case 21:
                var iova = Iova();
                return Of("check map", Check(IommuTestOp.MdCheckMap, Id(ObjectType.HwptPaging), new IommuTestCheckMap { Iova = iova, Length = Page, Uptr = Memory + iova }));
            case 22 when live.Count < 24:
                return Of("open access", Test(IommuTestOp.CreateAccess, Id(ObjectType.Ioas), new IommuTestCreateAccess { Flags = (uint)random.Next(2) }));
            case 23 when context.Model.References.LastOrDefault(reference => reference.Name == "selftest access") is { } file:
                return ("close access", ContextOperations.PutAsync(new IoctlScope(context.Model, context.ObjectGrains), file.Id).AsTask().GetAwaiter().GetResult());
            case 24:
                return Of("hardware info", context.Run(IommuCommand.GetHwInfo, new IommuHwInfo { DevId = Id(ObjectType.Device) }));
            case 25:
                // A restore does not call the grain of an object in its first state, which then counts nothing.
                var shown = ContextInspector.InspectObjectAsync(context.Model, context.ObjectGrains, new ObjectId(Any()), new StatePage(Iova(), 4)).GetAwaiter().GetResult();
                return ("inspection", Deep.Text(shown is null ? null : shown with { GrainUsers = null, Facts = [.. shown.Facts.Where(fact => fact.Name != "users")] }));
            case 26 or 27 or 28 when Accesses().LastOrDefault(access => access is { NeedsPinPages: true, Ioas: not null }) is { } access:
                return context.IoasState(access.Ioas!.Id.Value).Areas.Length == 0 ? Of("map for a pin", MapFor(access.Ioas)) : Of(nameof(PinPagesRequest), Pin(access));
            case 29 when Accesses().LastOrDefault(access => access.NextPin > 0) is { } access:
                return Of(nameof(UnpinPagesRequest), context.Ask(OwnerOf(access), new UnpinPagesRequest(access.Id, access.NextPin - 1 - (uint)random.Next(2))));
            case 30 or 31 or 32 when Devices().LastOrDefault() is { } device:
                return Of("DMA", context.Ask(((ContextReference)device.DriverHold!.Owner).Id, new TranslateRequest(
                    device.Id, [Dma(device), new DmaRange(Reached(device), 1)], random.Next(3) > 0, Group: (uint)random.Next(3))));
            case 33 when Devices().LastOrDefault() is { } device:
                return Of("DMA", context.Ask(((ContextReference)device.DriverHold!.Owner).Id, new TakeFaultResponseRequest(device.Id, (uint)random.Next(3))));
            case 35 when Accesses().LastOrDefault() is { } access && random.Next(3) == 0:
                return (nameof(DestroyAccessRequest), context.Ask(OwnerOf(access), new DestroyAccessRequest(access.Id)));
            case 34:
                return Of("revoke", context.Ask(driver, new RevokeDmaBufRequest($"dma-buf {random.Next(2)}")));
            default:
                var (name, _, reply) = RandomStep.Run(context, driver, random);
                return (name, reply);
        }

        DriverReply Pin(AccessEntry access)
            => context.Ask(OwnerOf(access), new PinPagesRequest(access.Id, Mapped(access.Ioas!), Page * (ulong)random.Next(1, 3), random.Next(3) == 0));

        // The start of something that is mapped, if anything is.
        ulong Mapped(IoasEntry ioas)
        {
            var areas = context.IoasState(ioas.Id.Value).Areas;
            return areas.Length == 0 ? Iova() : areas[random.Next(areas.Length)].Range.Start;
        }

        IoctlReply MapFor(IoasEntry ioas) => context.TryMap(ioas.Id.Value, Iova(), Page * 4, isThere: true, writeable: true);

        ulong Reached(DeviceEntry device) => device.Hwpt is { } hwpt ? Mapped(hwpt.Ioas) : Iova();

        DmaRange Dma(DeviceEntry device)
            => random.Next(2) == 0 ? new DmaRange(Reached(device), (ulong)random.Next(1, (int)Page + 1)) : new DmaRange(Iova() + (ulong)random.Next(5000), (ulong)random.Next(1, 9000));

        // Those of HW queues have no driver.
        IEnumerable<AccessEntry> Accesses() => live.OfType<AccessEntry>().Where(access => access.DriverHold!.Owner is ContextReference);

        // Those of the selftest have no driver.
        IEnumerable<DeviceEntry> Devices() => live.OfType<DeviceEntry>().Where(device => device.DriverHold!.Owner is ContextReference);

        ReferenceId OwnerOf(AccessEntry access) => ((ContextReference)access.DriverHold!.Owner).Id;

        uint Id(ObjectType type)
        {
            var fitting = live.FindAll(entry => entry.Type == type);
            return fitting.Count > 0 && random.Next(8) != 0 ? fitting[random.Next(fitting.Count)].Id.Value : Any();
        }

        uint Any() => live.Count == 0 ? 1 : live[random.Next(live.Count)].Id.Value;

        ulong Iova() => TestDevices.ApertureStart + ((ulong)random.Next(32) * Page) + (random.Next(100) == 0 ? 0x800UL : 0);

        ulong Length() => Page * (ulong)random.Next(1, 8);

        static (string, object) Of(string name, object reply) => (name, reply);

        IoctlReply Test<T>(IommuTestOp op, uint id, T fields)
            where T : unmanaged
            => context.Run(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(fields) });

        IoctlReply Check<T>(IommuTestOp op, uint id, T fields)
            where T : unmanaged
            => context.Run(TestDevices.Request(
                IommuCommand.TestCmd,
                new IommuTestCmd { Size = 72, Op = (uint)op, Id = id, Fields = IommuTestCmdUnion.Of(fields) },
                new UserBuffer { Index = (byte)IoctlTable.TestBufferIndex(op), Length = Page * 8, ReadableBytes = Page * 8 }));

        IoctlReply Allow(int count)
        {
            var content = new byte[count * 16];
            for (var i = 0; i < count; i++)
            {
                var start = TestDevices.ApertureStart + ((ulong)((i * 40) + random.Next(8)) * Page);
                UapiStruct.ToBytes(new IommuIovaRange { Start = start, Last = start + (Page * 30) - 1 }).CopyTo(content, i * 16);
            }

            return context.Run(TestDevices.Request(
                IommuCommand.IoasAllowIovas,
                new IommuIoasAllowIovas { Size = 24, IoasId = Id(ObjectType.Ioas), NumIovas = (uint)count },
                new UserBuffer { Length = (ulong)content.Length, ReadableBytes = (ulong)content.Length, Content = content }));
        }

        IoctlReply MapFile()
        {
            var cmd = new IommuIoasMapFile
            {
                Size = 40,
                Flags = (uint)(IommuIoasMapFlags.Readable | (IommuIoasMapFlags)random.Next(4)),
                IoasId = Id(ObjectType.Ioas),
                Start = Page * (ulong)random.Next(4),
                Length = Length(),
                Iova = Iova(),
            };
            return context.Run(new IoctlRequest
            {
                Command = (uint)IommuCommand.IoasMapFile,
                Argument = UapiStruct.ToBytes(in cmd),
                WritableBytes = 40,
                File = random.Next(8) switch
                {
                    0 => null,
                    1 or 2 => new UserFile($"dma-buf {random.Next(2)}", IsMemfd: false, Page * 8) { DmaBuf = new UserDmaBuf((DmaBufState)Math.Max(0, random.Next(6) - 3)) },
                    _ => new UserFile($"file {random.Next(3)}", IsMemfd: random.Next(4) != 0, Page * 8),
                },
            });
        }

        IoctlReply Write()
        {
            var bitmap = new byte[8];
            random.NextBytes(bitmap);
            var fields = new IommuTestDirty { Iova = TestDevices.ApertureStart, Length = Page * 32, PageSize = Page / 2, Uptr = Memory };
            return context.Run(TestDevices.Request(
                IommuCommand.TestCmd,
                new IommuTestCmd { Size = 72, Op = (uint)IommuTestOp.Dirty, Id = Id(ObjectType.HwptPaging), Fields = IommuTestCmdUnion.Of(fields) },
                new UserBuffer { Index = (byte)IoctlTable.TestBufferIndex(IommuTestOp.Dirty), Length = 8, ReadableBytes = 8, Content = bitmap }));
        }
    }
}
