using IommuFd.Client;
using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Client;

public sealed class IommufdExceptionTests
{
    private static readonly IoctlDiagnostic Held = new()
    {
        Reason = DiagnosticReason.ObjectHeld,
        ObjectId = new ObjectId(3),
        ObjectType = ObjectType.Ioas,
        Holders = [new Holder(ObjectType.Ioas, new ObjectId(5), "parent", default), new Holder(ObjectType.Any, default, "vfio-pci: DMA", new HoldId(9))],
        HolderCount = 2,
    };

    [Fact]
    public void The_message_says_command_errno_object_holders_and_what_to_do()
    {
        var exception = new IommufdException(0x3B80, Errno.EBUSY, Held);
        Expect.Equal(
            "IOMMU_DESTROY: EBUSY: IOAS 3 is held by IOAS 5 (parent), driver 'vfio-pci: DMA' (release the holders first: ExplainBusyAsync lists the steps).", exception.Message,
            "the message of a refused destroy");
        Expect.Equal(
            ("IOMMU_DESTROY", Errno.EBUSY, new ObjectId(3)), (exception.Operation, exception.Errno, exception.ObjectId), "operation, errno and object");
        Expect.Sequence(Held.Holders, exception.Holders, "the holders");
        Expect.Equal("release the holders first: ExplainBusyAsync lists the steps", exception.Hint, "the hint");
        Expect.Equal(Held, exception.Diagnostic, "the diagnostic");
    }

    [Fact]
    public void A_command_that_does_not_exist_is_shown_by_its_number()
    {
        var diagnostic = new IoctlDiagnostic { Reason = DiagnosticReason.UnknownCommand, Value = 0x3B95 };
        Expect.Equal(
            "ioctl 0x3B95: ENOTTY: no iommufd command has the ioctl number 0x3B95 (ioctl numbers are _IO(';', 0x80) to _IO(';', 0x94), and 0xA0 is IOMMU_TEST_CMD).",
            new IommufdException(0x3B95, Errno.ENOTTY, diagnostic).Message,
            "the message");
    }

    [Fact]
    public void What_is_no_ioctl_is_shown_by_its_operation()
    {
        var exception = new IommufdException("open", Errno.EINVAL, new IoctlDiagnostic { Reason = DiagnosticReason.InvalidName });
        Expect.Equal("open: EINVAL: a name must have 1 to 128 characters, and a kind or mode must be one that the interface defines.", exception.Message, "the message");
        Expect.Equal(("open", ""), (exception.Operation, exception.Hint), "operation and hint");
    }

    [Fact]
    public void Without_a_diagnostic_the_message_says_what_is_known()
    {
        var exception = new IommufdException("get", Errno.EBADFD, null);
        Expect.Equal("get: EBADFD.", exception.Message, "the message");
        Expect.Equal((default(ObjectId), 0, ""), (exception.ObjectId, exception.Holders.Count, exception.Hint), "object, holders and hint");
    }

    [Fact]
    public void A_failed_result_throws_it_and_a_good_one_goes_on()
    {
        var failed = IoctlResult.From(0x3B80, new IoctlReply { Errno = Errno.EBUSY, Diagnostic = Held });
        Expect.That(!failed.Succeeded, "A result with EBUSY has succeeded.");
        Expect.Equal(Held, Assert.Throws<IommufdException>(() => failed.ThrowIfFailed()).Diagnostic, "the diagnostic of what was thrown");

        var good = IoctlResult.From(0x3B81, new IoctlReply { ReturnValue = 4, Argument = [12, 0, 0, 0, 0, 0, 0, 0, 7] });
        Expect.That(good.Succeeded, "A result without an errno has failed.");
        Expect.Equal(
            (4, 7U), (good.ThrowIfFailed().ReturnValue, good.Read<IommuIoasAlloc>().OutIoasId),
            "return value and id; bytes that were not copied back are zero");
        Expect.Equal(0U, IoctlResult.From(0x3B81, IoctlReply.Success).Read<IommuIoasAlloc>().OutIoasId, "the id of a reply that copies nothing back");
    }
}
