using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Graph;

/// <summary>Corners of the object graph in which Linux's iommufd had to be mended, or could easily be got wrong.</summary>
public sealed class RegressionTests
{
    private const ulong Page = 4096;

    private readonly OpenContext _context = new();

    [Fact]
    public void A_device_is_attached_once_also_to_the_same_HWPT()
    {
        var ioas = _context.AllocateIoas();
        var driver = _context.Driver();
        var device = _context.Bind(driver, "device");
        var hwpt = _context.AllocateHwpt(device.Value, ioas);
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(hwpt)));
        var before = _context.FullSnapshot();

        foreach (var pageTable in (uint[])[hwpt, ioas])
        {
            var again = _context.Ask(driver, new AttachDeviceRequest(device, new ObjectId(pageTable)));
            Expect.Equal((Errno.EBUSY, DiagnosticReason.DeviceAttached), (again.Errno, again.Diagnostic!.Reason), $"attaching again, to {pageTable}");
        }

        Expect.Equal(before, _context.FullSnapshot(), "the context");
    }

    [Fact]
    public void Two_devices_attach_to_the_same_HWPT_and_each_holds_it()
    {
        var ioas = _context.AllocateIoas();
        var first = _context.MockDomain(ioas);
        var second = _context.MockDomain(first.OutHwptId);
        Expect.Equal(first.OutHwptId, second.OutHwptId, "the HWPT of the second device");
        Expect.Equal(3, _context.Objects.Find(first.OutHwptId)!.Users, "users of the HWPT");
        _context.Destroy(first.OutStdevId);
        Expect.Equal(2, _context.Objects.Find(first.OutHwptId)!.Users, "users of the HWPT without the first");
        _context.Destroy(second.OutStdevId);
        Expect.Equal(null, _context.Objects.Find(first.OutHwptId), "the automatic HWPT without a device");
    }

    [Fact]
    public void An_automatic_HWPT_that_a_driver_held_beyond_its_last_device_is_given_to_no_device_once_it_is_destroyed()
    {
        var ioas = _context.AllocateIoas();
        var driver = _context.Driver();
        var device = _context.Bind(driver, "device");
        var attach = new AttachDeviceRequest(device, new ObjectId(ioas));
        var hwpt = _context.AskOk(driver, attach);
        var hold = _context.Ask(driver, new HoldObjectRequest(hwpt, ObjectType.Any, "why")).Hold;
        _context.AskOk(driver, new DetachDeviceRequest(device));
        Expect.Equal(2, _context.Objects.Find(hwpt.Value)!.Users, "users of the HWPT that only the driver holds");
        _context.AskOk(driver, new DropHoldRequest(hold));
        _context.Destroy(hwpt.Value);
        var other = _context.AllocateIoas();
        Expect.Equal(hwpt.Value, other, "the id of the next object");

        var next = _context.AskOk(driver, attach);
        Expect.Equal(other + 1, next.Value, "the HWPT that is made anew");
        Expect.Equal(next.Value, _context.HwptOf(device.Value), "what the device is attached to");
    }

    [Fact]
    public void Replace_with_itself_changes_nothing()
    {
        var ioas = _context.AllocateIoas();
        var mock = _context.MockDomain(ioas);
        var before = _context.FullSnapshot();
        Expect.Equal(mock.OutHwptId, _context.Replace(mock.OutStdevId, mock.OutHwptId), "the HWPT, replaced by itself");
        Expect.Equal(mock.OutHwptId, _context.Replace(mock.OutStdevId, ioas), "the automatic HWPT, replaced by that of the same IOAS");
        Expect.Equal(before, _context.FullSnapshot(), "the context");
    }

    [Fact]
    public void A_failed_replace_leaves_the_old_attachment_whole()
    {
        var (old, outside, missing, misaligned) = (_context.AllocateIoas(), _context.AllocateIoas(), _context.AllocateIoas(), _context.AllocateIoas());
        _context.Map(old, TestDevices.ApertureStart, Page);
        _context.Map(outside, 0, Page);
        Expect.Equal(Errno.None, _context.TryMap(missing, TestDevices.ApertureStart, Page, isThere: false).Errno, "mapping what isn't there");
        _context.Map(misaligned, TestDevices.ApertureStart, Page + 1);
        var mock = _context.MockDomain(old);
        var access = _context.MockDomain(old, IommuTestDeviceFlags.NoDirty);
        var tracking = _context.AllocateHwpt(mock.OutIdevId, old, IommuHwptAllocFlags.DirtyTracking);
        var before = _context.FullSnapshot();

        _context.TryReplace(mock.OutStdevId, outside).Fails(Errno.EADDRINUSE, DiagnosticReason.OutsideAperture, "replacing by an IOAS with an area outside the aperture");
        _context.TryReplace(mock.OutStdevId, misaligned).Fails(Errno.EADDRINUSE, DiagnosticReason.AreasMisaligned, "replacing by an IOAS with a misaligned area");
        _context.TryReplace(mock.OutStdevId, missing).Fails(Errno.EFAULT, DiagnosticReason.MemoryNotPinnable, "replacing by an IOAS with memory that isn't there");
        _context.TryReplace(mock.OutStdevId, 99).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, "replacing by nothing");
        _context.TryReplace(mock.OutStdevId, mock.OutIdevId).Fails(Errno.EINVAL, DiagnosticReason.NotAPageTable, "replacing by a device");
        _context.TryReplace(access.OutStdevId, tracking).Fails(Errno.EINVAL, DiagnosticReason.DeviceIncompatible, "replacing by a HWPT that the device can't use");

        Expect.Equal(before, _context.FullSnapshot(), "the context");
        Expect.Equal(mock.OutHwptId, _context.HwptOf(mock.OutIdevId), "what the device is attached to");
    }

    [Fact]
    public void A_failed_attach_leaves_no_device_no_HWPT_and_no_reservation()
    {
        var ioas = _context.AllocateIoas();
        _context.Map(ioas, 0x8000_0000, Page);
        var before = _context.FullSnapshot();
        _context.TryMockDomain(ioas).Fails(Errno.EADDRINUSE, DiagnosticReason.OutsideAperture, "MOCK_DOMAIN on an IOAS with an area above the aperture");
        _context.TryMockDomain(ioas, (IommuTestDeviceFlags)2).Fails(Errno.EINVAL, DiagnosticReason.UnsupportedFlags, "MOCK_DOMAIN_FLAGS with an unknown flag");
        _context.TryMockDomain(12345).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, "MOCK_DOMAIN on nothing");
        Expect.Equal(before, _context.FullSnapshot(), "the context");
        Expect.Equal(2U, _context.AllocateIoas(), "the next id");
    }

    [Fact]
    public void A_mock_device_whose_answer_cannot_be_written_is_gone_again()
    {
        var ioas = _context.AllocateIoas();
        _context.Map(ioas, TestDevices.ApertureStart, Page);
        var before = _context.FullSnapshot();
        _context.TryMockDomain(ioas, writable: 20).Fails(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, "MOCK_DOMAIN whose answer can't be written");
        Expect.Equal(before, _context.FullSnapshot(), "the context");
    }

    [Fact]
    public void Mock_devices_are_destroyed_in_every_order_and_leave_nothing()
    {
        int[][] orders = [.. Permutations([0, 1, 2, 3])];
        Expect.Equal(24, orders.Length, "orders");
        foreach (var order in orders)
        {
            // Two devices on one IOAS, one on another, and one that was moved to a HWPT of the other.
            var context = new OpenContext();
            var (first, second) = (context.AllocateIoas(), context.AllocateIoas());
            var mocks = new[] { context.MockDomain(first), context.MockDomain(first), context.MockDomain(second), context.MockDomain(first) };
            var hwpt = context.AllocateHwpt(mocks[2].OutIdevId, second);
            context.Replace(mocks[3].OutStdevId, hwpt);
            var name = string.Join(", ", order);
            foreach (var mock in order)
            {
                context.TryDestroy(mocks[mock].OutIdevId).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, $"DESTROY of bound device {mock} in the order {name}");
                context.Destroy(mocks[mock].OutStdevId);
                Expect.Equal(null, context.Objects.Find(mocks[mock].OutIdevId), $"device {mock} after its owner in the order {name}");
            }

            Expect.Sequence([first, second, hwpt], context.Objects.After(0).Select(entry => entry.Id.Value).Order(), $"what is left in the order {name}");
            context.Destroy(hwpt);
            context.Destroy(first);
            context.Destroy(second);
            Expect.That(context.Objects.IsEmpty, $"Something is left in the order {name}.");
        }
    }

    [Fact]
    public void A_late_request_after_destroy_gets_ENOENT_also_when_the_id_is_anothers()
    {
        var ioas = _context.AllocateIoas();
        var mock = _context.MockDomain(ioas);
        _context.Destroy(mock.OutStdevId);
        foreach (var id in (uint[])[mock.OutStdevId, mock.OutIdevId, mock.OutHwptId])
        {
            _context.TryDestroy(id).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, $"DESTROY of {id}, which is gone");
        }

        // The ids are used again, by objects of another kind.
        for (var i = 0; i < 3; i++)
        {
            _context.AllocateIoas();
        }

        _context.TryReplace(mock.OutStdevId, ioas).Fails(Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, "replacing for an owner that is gone");
        _context.TryAllocateHwpt(mock.OutIdevId, ioas).Fails(Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, "HWPT_ALLOC for a device that is gone");
        _context.Run(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = mock.OutHwptId })
            .Fails(Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, "SET_DIRTY_TRACKING of a HWPT that is gone");
    }

    [Fact]
    public void A_driver_unbinds_its_device_whatever_a_program_tries_to_destroy()
    {
        var ioas = _context.AllocateIoas();
        var driver = _context.Driver();
        var device = _context.Bind(driver, "device");
        _context.AskOk(driver, new AttachDeviceRequest(device, new ObjectId(ioas)));
        _context.TryDestroy(device.Value).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, "DESTROY before the unbind");
        Expect.Equal(Errno.EINVAL, _context.Model.HoldObject(driver, device, ObjectType.Any, "mine too").Errno, "a second hold of the device");
        _context.AskOk(driver, new UnbindDeviceRequest(device));
        _context.TryDestroy(device.Value).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, "DESTROY after the unbind");
        Expect.Equal(Errno.ENOENT, _context.Ask(driver, new UnbindDeviceRequest(device)).Errno, "a second unbind");
        _context.Destroy(ioas);
    }

    [Theory]
    [InlineData(1, 0, Errno.EINVAL)]
    [InlineData(0xDEAD, 0, Errno.EINVAL)]
    [InlineData(0, 8, Errno.EINVAL)]
    public void A_data_type_and_a_data_length_come_together(uint type, uint length, Errno expected)
    {
        var ioas = _context.AllocateIoas();
        var mock = _context.MockDomain(ioas);
        var before = _context.FullSnapshot();
        _context.Run(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = mock.OutIdevId, PtId = ioas, DataType = type, DataLen = length })
            .Fails(expected, DiagnosticReason.InvalidDataLength, $"HWPT_ALLOC with data of type {type} and {length} bytes");

        // It is checked before the device is looked for.
        Expect.Equal(
            expected,
            _context.Run(IommuCommand.HwptAlloc, new IommuHwptAlloc { DevId = 77, PtId = ioas, DataType = type, DataLen = length }).Errno,
            "the same without a device");
        Expect.Equal(before, _context.FullSnapshot(), "the context");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(7)]
    [InlineData(65)]
    [InlineData(130)]
    public void A_dirty_bitmap_of_no_multiple_of_64_bits_has_each_dirty_page_and_no_other(int pages)
    {
        const ulong DirtyPage = Page;
        var ioas = _context.AllocateIoas();
        _context.Map(ioas, TestDevices.ApertureStart, 512 * DirtyPage);
        var mock = _context.MockDomain(ioas);
        var hwpt = _context.AllocateHwpt(mock.OutIdevId, ioas, IommuHwptAllocFlags.DirtyTracking);
        _context.RunOk0(IommuCommand.HwptSetDirtyTracking, new IommuHwptSetDirtyTracking { HwptId = hwpt, Flags = 1 });
        var random = new Random(pages);
        var expected = new byte[(pages + 7) / 8];
        random.NextBytes(expected);
        expected[^1] &= (byte)(0xFF >> ((8 - (pages % 8)) % 8));

        var marked = _context.MarkDirty(hwpt, TestDevices.ApertureStart, (ulong)pages * DirtyPage, DirtyPage, expected);
        Expect.Equal((ulong)expected.Sum(bits => System.Numerics.BitOperations.PopCount(bits)), marked, $"pages that became dirty of {pages}");

        // Pages behind the range are dirty too, and not asked for.
        _context.MarkDirty(hwpt, TestDevices.ApertureStart + ((ulong)pages * DirtyPage), 64 * DirtyPage, DirtyPage, [.. Enumerable.Repeat((byte)0xFF, 8)]);
        Expect.Sequence(expected, _context.ReadDirty(hwpt, TestDevices.ApertureStart, (ulong)pages * DirtyPage, DirtyPage, expected.Length), $"the bitmap of {pages} pages");
        Expect.Sequence(
            new byte[expected.Length], _context.ReadDirty(hwpt, TestDevices.ApertureStart, (ulong)pages * DirtyPage, DirtyPage, expected.Length), "the bitmap, read again");
    }

    [Fact]
    public void An_automatic_IOVA_next_to_2_to_64_keeps_clear_of_reserved_ranges()
    {
        var ioas = _context.AllocateIoas();
        var top = ulong.MaxValue - Page + 1;
        _context.AllowIovas(ioas, new IovaRange(top - (4 * Page), ulong.MaxValue));
        Expect.Equal(top - (4 * Page), _context.MapAnywhere(ioas, Page), "the first automatic IOVA below 2^64");
        Expect.Equal(top - (3 * Page), _context.MapAnywhere(ioas, Page), "the second");

        // What was allowed can't be reserved, so the list goes first. The last page of all is never chosen.
        _context.AllowIovas(ioas);
        _context.RunOk0(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.AddReserved, Id = ioas, Fields = Words(0, top - (4 * Page)) });
        _context.RunOk0(IommuCommand.TestCmd, new IommuTestCmd { Op = (uint)IommuTestOp.AddReserved, Id = ioas, Fields = Words(top, Page) });
        Expect.Equal(top - (2 * Page), _context.MapAnywhere(ioas, Page), "the third, between reserved ranges");
        Expect.Equal(top - Page, _context.MapAnywhere(ioas, Page), "the fourth, below a reserved range that ends at 2^64 - 1");
        Expect.Equal(Errno.ENOSPC, _context.TryMapAnywhere(ioas, Page).Errno, "one more");

        static IommuTestCmdUnion Words(ulong first, ulong second)
        {
            IommuTestCmdUnion words = default;
            (words[0], words[1]) = (first, second);
            return words;
        }
    }

    [Fact]
    public void Every_unsupported_op_answers_EOPNOTSUPP_and_changes_nothing()
    {
        var ioas = _context.AllocateIoas();
        _context.MockDomain(ioas);
        var before = _context.FullSnapshot();
        foreach (var op in Enumerable.Range(0, 300).Select(op => (uint)op).Append(uint.MaxValue).Where(op => !Enum.IsDefined((IommuTestOp)op)))
        {
            _context.Run(IommuCommand.TestCmd, new IommuTestCmd { Op = op, Id = ioas }).Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, $"op {op} of IOMMU_TEST_CMD");
        }

        _context.Run(IommuCommand.VfioIoas, new IommuVfioIoas { Op = 3 }).Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, "op 3 of VFIO_IOAS");
        _context.Run(IommuCommand.Option, new IommuOption { OptionId = 1, Op = 2, ObjectId = ioas }).Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, "op 2 of OPTION");
        Expect.Equal(before, _context.FullSnapshot(), "the context");
    }

    [Fact]
    public void An_automatic_HWPT_that_a_driver_kept_and_that_is_destroyed_is_offered_to_no_device()
    {
        var ioas = _context.AllocateIoas();
        var mock = _context.MockDomain(ioas);
        var driver = _context.Driver();
        var hold = _context.Hold(driver, new ObjectId(mock.OutHwptId));
        _context.Destroy(mock.OutStdevId);
        _context.AskOk(driver, new DropHoldRequest(hold));
        _context.Destroy(mock.OutHwptId);
        Expect.Equal(0, _context.IoasState(ioas).Domains, "domains of the IOAS");
        var next = _context.MockDomain(ioas);
        Expect.That(_context.Objects.Find(next.OutHwptId) is not null && _context.IoasState(ioas).Domains == 1, "The next device is attached to what is gone.");
    }

    private static IEnumerable<int[]> Permutations(int[] items) => items.Length <= 1
        ? [items]
        : items.SelectMany(first => Permutations([.. items.Where(item => item != first)]).Select(rest => (int[])[first, .. rest]));
}
