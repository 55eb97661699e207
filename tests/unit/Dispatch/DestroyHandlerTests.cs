using IommuFd.GrainInterfaces;
using IommuFd.Grains.Calls;
using IommuFd.Grains.Model;
using IommuFd.Uapi;
using IommuFd.UnitTests.Support;

namespace IommuFd.UnitTests.Dispatch;

public sealed class DestroyHandlerTests
{
    private readonly OpenContext _context = new();

    [Theory]
    [InlineData(0)]
    [InlineData(2)]
    [InlineData(0x7FFF_FFFF)]
    [InlineData(0x8000_0000)]
    [InlineData(uint.MaxValue)]
    public void Destroy_of_an_id_that_no_object_has_is_ENOENT_and_changes_nothing(uint id)
    {
        _context.Add();
        var before = _context.Snapshot();
        var diagnostic = Destroy(id).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, $"destroying id {id}");
        Expect.Equal(new ObjectId(id), diagnostic.ObjectId, "the id in the diagnostic");
        Expect.Equal(before, _context.Snapshot(), "the context");
    }

    [Fact]
    public void Destroy_of_a_reserved_id_or_a_tombstone_is_ENOENT()
    {
        _context.Add();
        _context.Objects.Remove(1, leaveTombstone: true, out _);
        var reserved = _context.Objects.Reserve(ObjectType.Ioas)!;
        Destroy(1).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, "destroying a tombstone");
        Destroy(2).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, "destroying a reserved id");
        _context.Objects.Finalize(reserved);
        Expect.Equal(Errno.None, Destroy(2).Errno, "destroying the object when it is finalized");
    }

    [Fact]
    public void Destroy_answers_success_with_nothing_to_copy_back_and_the_object_is_gone()
    {
        _context.Add();
        var reply = Destroy(1);
        Expect.Equal((Errno.None, 0, null, null, null), (reply.Errno, reply.ReturnValue, reply.Argument, reply.Buffers, reply.Diagnostic), "the reply");
        Expect.Equal(null, _context.Objects.Find(1), "the destroyed object");
        Destroy(1).Fails(Errno.ENOENT, DiagnosticReason.ObjectNotFound, "destroying it again");
    }

    [Fact]
    public void Destroy_needs_no_writable_argument()
    {
        _context.Add();
        Expect.Equal(
            Errno.None, _context.Run(IommuCommand.Destroy, new IommuDestroy { Id = 1 }, writable: 0).Errno, "destroying by an argument that can't be written");
    }

    [Fact]
    public void Destroy_of_a_held_object_is_EBUSY_and_changes_nothing()
    {
        var (target, holder) = (_context.Add(), _context.Add());
        Hold.RefToUsers(holder, target, "parent");
        var driver = _context.Driver("vfio-pci");
        var hold = _context.Hold(driver, target.Id, "DMA");
        var before = _context.Snapshot();
        var diagnostic = Destroy(1).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, "destroying a held object");
        Expect.Equal(
            (target.Id, ObjectType.Ioas, 2L), (diagnostic.ObjectId, diagnostic.ObjectType, diagnostic.HolderCount), "the object and its holders' count");
        Expect.Sequence(
            [new Holder(ObjectType.Any, default, "vfio-pci: DMA", hold), new Holder(ObjectType.Ioas, holder.Id, "parent", default)], diagnostic.Holders,
            "the holders");
        Expect.Equal(before, _context.Snapshot(), "the context after the refused destroy");

        Expect.Equal(Errno.None, _context.Model.DropObject(driver, hold).Errno, "dropping the driver's hold");
        Destroy(1).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, "destroying an object that one still holds");
        Expect.Equal(Errno.None, Destroy(2).Errno, "destroying the holder");
        Expect.Equal(Errno.None, Destroy(1).Errno, "destroying an object that nobody holds any more");
    }

    [Fact]
    public void Of_many_holders_the_first_64_are_listed_and_all_are_counted()
    {
        var target = _context.Add();
        for (var i = 0; i < 100; i++)
        {
            Hold.RefToUsers(_context.Add(), target, "");
        }

        var diagnostic = Destroy(1).Fails(Errno.EBUSY, DiagnosticReason.ObjectHeld, "destroying an object with 100 holders");
        Expect.Equal((64, 100L), (diagnostic.Holders.Length, diagnostic.HolderCount), "holders listed and counted");
    }

    [Fact]
    public void Destroy_of_the_compatibility_IOAS_clears_it()
    {
        _context.Add();
        _context.RunOk(IommuCommand.VfioIoas, new IommuVfioIoas { Op = 1, IoasId = 1 });
        Expect.Equal(Errno.None, Destroy(1).Errno, "destroying the compatibility IOAS, which that does not hold");
        _context.Run(IommuCommand.VfioIoas, new IommuVfioIoas { Op = 0 })
            .Fails(Errno.ENODEV, DiagnosticReason.NoCompatIoas, "asking for the destroyed compatibility IOAS");
    }

    [Fact]
    public void An_object_that_nobody_used_is_destroyed_without_a_grain()
    {
        _context.Add();
        Expect.Equal(Errno.None, Destroy(1).Errno, "destroying a fresh object");
        Expect.Sequence([], _context.Grains.Keys, "the grains that were asked for");
    }

    [Fact]
    public void The_grain_of_a_used_object_is_ended_by_its_own_stamp()
    {
        var entry = _context.Add();
        Use(1);
        Expect.Equal(Errno.None, Destroy(1).Errno, "destroying a used object");
        Expect.Equal(
            ("Destroy", new ObjectStamp(OpenContext.Epoch, entry.Serial, MayBuild: false)), _context.GrainOf(1).Calls[^1], "the last call of its grain");
    }

    [Fact]
    public void An_id_that_is_used_again_is_a_new_life_with_fresh_state()
    {
        _context.Add();
        SetHugePages(1, 0);
        Expect.Equal(0UL, Use(1), "HUGE_PAGES of the first life");
        Destroy(1);
        _context.Add();
        Expect.Equal(1UL, Use(1), "HUGE_PAGES of the second life of the id");
    }

    [Fact]
    public void An_object_is_gone_also_if_its_grain_does_not_answer_its_end()
    {
        _context.Add();
        Use(1);
        _context.GrainOf(1).Failure = new TimeoutException("no answer");
        Expect.Equal(Errno.None, Destroy(1).Errno, "destroying an object whose grain does not answer");
        Expect.Equal(null, _context.Objects.Find(1), "the destroyed object");
        _context.GrainOf(1).Failure = null;
        _context.Add();
        Expect.Equal(1UL, Use(1), "HUGE_PAGES of the next life of the id");
    }

    private IoctlReply Destroy(uint id) => _context.Run(IommuCommand.Destroy, new IommuDestroy { Id = id });

    private ulong Use(uint id) => _context.RunOk(IommuCommand.Option, new IommuOption { OptionId = 1, Op = 1, ObjectId = id }).Val64;

    private void SetHugePages(uint id, ulong value)
        => _context.RunOk(IommuCommand.Option, new IommuOption { OptionId = 1, Op = 0, ObjectId = id, Val64 = value });
}
