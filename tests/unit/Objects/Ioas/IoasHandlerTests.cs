using IommuFd.GrainInterfaces;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Objects.Ioas;

public sealed class IoasHandlerTests
{
    private const ushort Get = 0;
    private const ushort Set = 1;
    private const ushort Clear = 2;

    private readonly OpenContext _context = new();

    [Fact]
    public void IOAS_ALLOC_makes_an_IOAS_with_the_lowest_free_id_and_answers_it()
    {
        Expect.Equal((12u, 0u, 1u), Fields(Alloc()), "the first answer: size, flags, out_ioas_id");
        Expect.Equal((12u, 0u, 2u), Fields(Alloc()), "the second answer");
        Expect.Equal(ObjectType.Ioas, _context.Objects.Find(1)?.Type, "the type of object 1");
        _context.RunOk(IommuCommand.Destroy, new IommuDestroy { Id = 1 });
        Expect.Equal((12u, 0u, 1u), Fields(Alloc()), "the answer after object 1 was destroyed");
        Expect.Sequence([], _context.Grains.Keys, "the grains that allocating has activated");
    }

    [Theory]
    [InlineData(1)]
    [InlineData(0x8000_0000)]
    public void IOAS_ALLOC_with_flags_is_EOPNOTSUPP_and_takes_no_id(uint flags)
    {
        var reply = _context.Run(IommuCommand.IoasAlloc, new IommuIoasAlloc { Flags = flags });
        Expect.Equal(
            (ulong)flags, reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedFlags, $"IOAS_ALLOC with flags 0x{flags:X}").Value,
            "the flags in the diagnostic");
        Expect.That(_context.Objects.IsEmpty, "A refused IOAS_ALLOC has taken an id.");
    }

    [Fact]
    public void IOAS_ALLOC_whose_answer_cannot_be_written_is_EFAULT_and_leaves_no_object()
    {
        var whole = UapiStruct.ToBytes(new IommuIoasAlloc { Size = 12, OutIoasId = 1 });
        for (uint writable = 0; writable < 12; writable++)
        {
            var reply = _context.Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc), writable);
            var diagnostic = reply.Fails(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, $"IOAS_ALLOC with {writable} writable bytes");
            Expect.Equal(((ulong)writable, 12UL), (diagnostic.Value, diagnostic.Limit), "the writable and the needed bytes in the diagnostic");
            Expect.Sequence(whole[..(int)writable], reply.Argument!, $"what is copied back before the fault, with {writable} writable bytes");
            Expect.That(_context.Objects.IsEmpty, $"IOAS_ALLOC with {writable} writable bytes has left an id taken.");
            Expect.Equal(null, _context.Objects.Find(1), "the object that could not be answered");
        }

        Expect.Equal((12u, 0u, 1u), Fields(Alloc()), "the answer of the next IOAS_ALLOC");
    }

    [Fact]
    public void IOAS_ALLOC_copies_back_no_more_than_it_knows_of_a_larger_struct()
    {
        byte[] argument = [16, 0, 0, 0, 0, 0, 0, 0, 0xEE, 0xEE, 0xEE, 0xEE, 0, 0, 0, 0];
        var reply = _context.Run(new IoctlRequest { Command = 0x3B81, Argument = argument, WritableBytes = 12 });
        Expect.Equal(Errno.None, reply.Errno, "IOAS_ALLOC of 16 bytes of which 12 can be written");
        Expect.Sequence(Convert.FromHexString("100000000000000001000000"), reply.Argument!, "what is copied back");
    }

    [Fact]
    public void IOAS_ALLOC_when_every_id_is_taken_is_EBUSY_as_xa_alloc_answers()
    {
        Exhaustion.Exhaust(_context.Objects);
        _context.Run(IommuCommand.IoasAlloc, default(IommuIoasAlloc)).Fails(Errno.EBUSY, DiagnosticReason.NoFreeId, "IOAS_ALLOC without a free id");
    }

    [Theory]
    [InlineData(Get)]
    [InlineData(Set)]
    [InlineData(Clear)]
    [InlineData(9)]
    public void VFIO_IOAS_with_a_reserved_field_is_EOPNOTSUPP_before_all_else(ushort op)
    {
        var reply = Vfio(new IommuVfioIoas { Op = op, Reserved = 1, IoasId = 77 });
        Expect.Equal(
            1UL, reply.Fails(Errno.EOPNOTSUPP, DiagnosticReason.ReservedNotZero, $"VFIO_IOAS, op {op}, with a reserved field").Value,
            "the field in the diagnostic");
    }

    [Theory]
    [InlineData(3)]
    [InlineData(0xFFFF)]
    public void VFIO_IOAS_with_another_op_is_EOPNOTSUPP(ushort op)
        => Expect.Equal(
            (ulong)op, Vfio(new IommuVfioIoas { Op = op }).Fails(Errno.EOPNOTSUPP, DiagnosticReason.UnsupportedOp, $"op {op}").Value,
            "the op in the diagnostic");

    [Fact]
    public void VFIO_IOAS_GET_is_ENODEV_while_none_is_set()
        => Vfio(new IommuVfioIoas { Op = Get }).Fails(Errno.ENODEV, DiagnosticReason.NoCompatIoas, "VFIO_IOAS_GET");

    [Fact]
    public void VFIO_IOAS_GET_answers_the_id_that_SET_took_and_CLEAR_takes_it_away()
    {
        Alloc();
        Alloc();
        var reply = Vfio(new IommuVfioIoas { Op = Set, IoasId = 2 });
        Expect.Equal((Errno.None, null), (reply.Errno, reply.Argument), "errno and bytes copied back of SET");
        var answer = _context.RunOk(IommuCommand.VfioIoas, new IommuVfioIoas { Op = Get, IoasId = 0xEEEE });
        Expect.Equal((12u, 2u, Get, (ushort)0), (answer.Size, answer.IoasId, answer.Op, answer.Reserved), "the answer of GET");
        Expect.Equal(1L, _context.Objects.Find(2)!.Users, "users of the compatibility IOAS, which is not held");

        reply = Vfio(new IommuVfioIoas { Op = Clear, IoasId = 77 });
        Expect.Equal((Errno.None, null), (reply.Errno, reply.Argument), "errno and bytes copied back of CLEAR");
        Vfio(new IommuVfioIoas { Op = Get }).Fails(Errno.ENODEV, DiagnosticReason.NoCompatIoas, "VFIO_IOAS_GET after CLEAR");
        Expect.Equal(Errno.None, Vfio(new IommuVfioIoas { Op = Clear }).Errno, "VFIO_IOAS_CLEAR while none is set");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(3)]
    [InlineData(uint.MaxValue)]
    public void VFIO_IOAS_SET_to_no_object_is_ENOENT_and_leaves_the_one_that_is_set(uint id)
    {
        Alloc();
        Vfio(new IommuVfioIoas { Op = Set, IoasId = 1 });
        var diagnostic = Vfio(new IommuVfioIoas { Op = Set, IoasId = id }).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, $"VFIO_IOAS_SET to id {id}");
        Expect.Equal(new ObjectId(id), diagnostic.ObjectId, "the id in the diagnostic");
        Expect.Equal(1U, _context.RunOk(IommuCommand.VfioIoas, new IommuVfioIoas { Op = Get }).IoasId, "the compatibility IOAS");
    }

    [Fact]
    public void VFIO_IOAS_SET_to_an_object_that_is_no_IOAS_is_ENOENT()
    {
        var other = _context.Add((ObjectType)1000);
        var diagnostic = Vfio(new IommuVfioIoas { Op = Set, IoasId = other.Id.Value })
            .Fails(Errno.ENOENT, DiagnosticReason.ObjectOfOtherType, "VFIO_IOAS_SET to another type");
        Expect.Equal((other.Id, other.Type), (diagnostic.ObjectId, diagnostic.ObjectType), "the object in the diagnostic");
    }

    [Fact]
    public void VFIO_IOAS_GET_is_EFAULT_where_the_answer_cannot_be_written_and_SET_and_CLEAR_write_nothing()
    {
        Alloc();
        Expect.Equal(
            Errno.None, _context.Run(IommuCommand.VfioIoas, new IommuVfioIoas { Op = Set, IoasId = 1 }, writable: 0).Errno, "SET with nothing writable");
        var reply = _context.Run(IommuCommand.VfioIoas, new IommuVfioIoas { Op = Get }, writable: 6);
        var diagnostic = reply.Fails(Errno.EFAULT, DiagnosticReason.ArgumentUnwritable, "GET with six writable bytes");
        Expect.Equal((6UL, 12UL), (diagnostic.Value, diagnostic.Limit), "the writable and the needed bytes in the diagnostic");
        Expect.Sequence(Convert.FromHexString("0C0000000100"), reply.Argument!, "what is copied back before the fault");
        Expect.Equal(Errno.None, _context.Run(IommuCommand.VfioIoas, new IommuVfioIoas { Op = Clear }, writable: 0).Errno, "CLEAR with nothing writable");
    }

    private static (uint Size, uint Flags, uint Id) Fields(IommuIoasAlloc answer) => (answer.Size, answer.Flags, answer.OutIoasId);

    private IommuIoasAlloc Alloc() => _context.RunOk(IommuCommand.IoasAlloc, default(IommuIoasAlloc));

    private IoctlReply Vfio(IommuVfioIoas argument) => _context.Run(IommuCommand.VfioIoas, argument);
}
